"""The ego's motion in, where everybody else is at a later time out: our traffic as one session of a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from cordillera.geometry import quat_from_yaw, wrap_angle
from cordillera.serve.scene import EPOCH_US, Visits, box_pose
from cordillera.types import Agents, Controls, EgoState, Float, Scenario, WorldState
from cordillera.world.world import DT_US, World, on_ground

EgoAt = Callable[[int], EgoState]  # a time of the world -> the ego there
COAST = Controls(0.0, 0.0)
LONGEST_US = 60_000_000


@dataclass(frozen=True, eq=False)
class Placed:
    """One road user at a time."""

    object_id: str
    kind: int
    size_lwh: Float
    xyz: Float  # (3,) world, the centre of its box
    quat_xyzw: Float


@dataclass(eq=False)
class TrafficSession:
    """The road users of one scenario, who react to an ego that somebody else moves. Times are those of the wire."""

    scenario: Scenario
    world: World = field(init=False)
    _before: WorldState = field(init=False)
    _now: WorldState = field(init=False)
    _visits: Visits = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(self.scenario)
        self._before = self._now = self.world.reset()
        self._visits = Visits()
        self._names_before = self._names = self._visits.names(self._now.agents)

    def simulate(self, ego_at: EgoAt, t_query_us: int) -> tuple[Placed, ...]:
        """How the ego moves, and a time -> everybody who is there at that time.

        Times must not run backwards. Between two steps of 0.1 s places are interpolated. Raises ValueError for a time
        before that of the last call, or more than a minute after it.
        """
        t_us = t_query_us - EPOCH_US
        if t_us < self._before.t_us:
            raise ValueError(
                f"time_query_us is {(self._before.t_us - t_us) * 1e-6:g} s before what was simulated; "
                "ask for times that increase, or start another session"
            )
        if t_us > self._now.t_us + LONGEST_US:
            raise ValueError(f"time_query_us is {(t_us - self._now.t_us) * 1e-6:g} s ahead; ask for at most 60 s")
        while self._now.t_us < t_us:
            ego = on_ground(self.world.roads, ego_at(self._now.t_us), self._now.ego)
            self._before = replace(self._now, ego=ego)
            self._now = self.world.step(self._before, COAST)
            self._names_before, self._names = self._names, self._visits.names(self._now.agents)
        share = (t_us - self._before.t_us) / DT_US if self._now is not self._before else 0.0
        names = self._names if share > 0.0 else self._names_before
        return between(self._before.agents, self._now.agents, share, names)


def between(before: Agents, after: Agents, share: float, names: dict[int, str]) -> tuple[Placed, ...]:
    """Agents at two steps -> where those are that are there at the later one, or at the earlier one for share 0."""
    out = []
    rows = {int(k): row for row, k in enumerate(before.id) if before.valid[row]}
    chosen = before if share <= 0.0 else after
    for row in np.flatnonzero(chosen.valid):
        row = int(row)
        xyz, quat = box_pose(chosen, row)
        was = rows.get(int(chosen.id[row]))
        if was is not None and 0.0 < share < 1.0:
            start, _ = box_pose(before, was)
            xyz = start + share * (xyz - start)
            turn = float(wrap_angle(after.yaw_rad[row] - before.yaw_rad[was]))
            quat = quat_from_yaw(float(before.yaw_rad[was]) + share * turn)
        name, kind = names[int(chosen.id[row])], int(chosen.kind[row])
        out.append(Placed(name, kind, chosen.size_lwh[row].copy(), xyz, quat))
    return tuple(out)
