"""An ASL file -> what it logs: metadata, poses by time, plans by time, rates by time; and how much of each kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from cordillera.serve.asl import KEEP, DamagedError, read_records
from cordillera.serve.convert import T_MAX_US
from cordillera.serve.wire import common_pb2, egodriver_pb2, logging_pb2

UNKNOWN = "unknown"


@dataclass(eq=False)
class AslLog:
    """What an ASL file holds, by the wire's times."""

    path: Path
    metadata: Any = None  # logging.RolloutMetadata
    poses: dict[int, logging_pb2.ActorPoses] = field(default_factory=dict)
    plans: dict[int, egodriver_pb2.DriveResponse] = field(default_factory=dict)
    rates: dict[int, common_pb2.DynamicState] = field(default_factory=dict)
    told: dict[int, common_pb2.DynamicState] = field(default_factory=dict)  # to the driver
    counts: Counter[str] = field(default_factory=Counter)  # records by kind
    damage: str = ""  # where it breaks off, for a file that was read in part
    _asked: list[int] = field(default_factory=list)

    def take(self, entry: Any) -> None:
        """Add a record. Kinds that this program does not know are counted and left."""
        kind = entry.WhichOneof("log_entry")
        self.counts[kind or UNKNOWN] += 1
        value: Any = getattr(entry, kind) if kind else None
        if kind == "rollout_metadata" and self.metadata is None:
            self.metadata = value
        elif kind == "actor_poses":
            self.poses[value.timestamp_us] = value
        elif kind == "driver_request":
            self._asked.append(value.time_now_us)
        elif kind == "driver_return":
            if self._asked:
                self.plans[self._asked.pop(0)] = value
        elif kind == "controller_return":
            for state in value.states:
                self.rates[state.timestamp_us] = state.dynamic_state
            if not value.states and value.HasField("pose_local_to_rig"):
                self.rates[value.pose_local_to_rig.timestamp_us] = value.dynamic_state
        elif kind == "driver_ego_trajectory" and len(value.dynamic_states) == len(value.trajectory.poses):
            for pose, rates in zip(value.trajectory.poses, value.dynamic_states, strict=True):
                self.told[pose.timestamp_us] = rates


def read_log(path: Path, partial: bool = False) -> AslLog:
    """An ASL file -> what it logs; ValueError names the byte where the file is damaged, and what is missing in it.

    With `partial` a damaged file gives what is whole before the damage, and `damage` says where that is.
    """
    log = AslLog(Path(path))
    try:
        offset = 0
        for number, record in enumerate(read_records(log.path)):
            try:
                log.take(logging_pb2.LogEntry.FromString(record))
            except DecodeError as error:
                raise DamagedError(
                    f"{path}: record {number} at byte {offset} is no LogEntry ({error}); {KEEP}"
                ) from error
            offset += 4 + len(record)
    except DamagedError as error:
        if not partial:
            raise
        log.damage = str(error)
    if log.metadata is None:
        raise ValueError(f"{path}: no rollout_metadata in its {log.counts.total()} records; give the log of a rollout")
    if len(log.poses) < 2:
        raise ValueError(f"{path}: {len(log.poses)} records of actor_poses; a rollout has two or more")
    if max(log.poses) >= T_MAX_US:
        raise ValueError(f"{path}: actor_poses are stamped {max(log.poses)} us, which is no time")
    return log
