"""What is sensed, decided and recorded: observation, decision, controls, rollout, metric, report."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cordillera.types.arrays import Float, Int
from cordillera.types.kinds import Lateral, Longitudinal
from cordillera.types.motion import EgoState, Route, Scenario, Trajectory, VehicleSpec, WorldState
from cordillera.types.road import RoadMap


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera on the rig. f-theta: r = fw_poly(theta) in pixels and theta = bw_poly(r); pinhole: fw_poly = (0, f)."""

    name: str
    model: str  # "ftheta" or "pinhole"
    width: int
    height: int
    cx: float  # pixel of the optical axis; the centre of the first pixel is (0, 0)
    cy: float
    fw_poly: tuple[float, ...]
    bw_poly: tuple[float, ...]
    tf_rig_camera: Float  # (4, 4)
    rate_hz: float = 10.0
    offset_us: int = 0


@dataclass(frozen=True, eq=False)
class Rig:
    """The cameras of a vehicle, in ascending order of the data set's camera index."""

    cameras: tuple[Camera, ...]
    vehicle: VehicleSpec = field(default_factory=VehicleSpec)


@dataclass(frozen=True, eq=False)
class Truth:
    """What only the expert and the labeller may read."""

    state: WorldState
    map: RoadMap
    route: Route  # world frame, with lanes


@dataclass(frozen=True, eq=False)
class Observation:
    """A window of what the car senses, complete in itself, so that policies keep no state."""

    t_us: int
    cameras: tuple[Camera, ...]  # C of them
    images: tuple[NDArray[np.uint8], ...]  # C x (T, H, W, 3), oldest first
    image_t_us: tuple[Int, ...]  # C x (T,)
    ego_history: Trajectory  # 16 poses at 10 Hz up to now, in the rig frame of now
    ego: EgoState  # odometry now: pose in a local frame, velocity, actuators
    route: Route  # rig frame of now
    truth: Truth | None = None

    @property
    def speed_mps(self) -> float:
        return self.ego.speed_mps


@dataclass(frozen=True, eq=False)
class Cause:
    """One factor of a decision: what it is, which one, how it relates to the ego, and when it was evident."""

    kind: str  # "lead vehicle", "traffic light", "stop sign", "pedestrian", "curve", ...
    target: str  # identity: "agent:17", "signal:244", "lane:31", "crossing:5"
    relation: str  # in words, e.g. "ahead in the ego lane"
    evidence_t_us: int
    distance_m: float = float("nan")
    axis: str = ""  # "longitudinal" or "lateral": the decision that it caused; "" where one follows from the kind
    jointly: bool = False  # it would have sufficed alone, as would the cause before it: an overdetermined decision


@dataclass(frozen=True, eq=False)
class ReasoningTrace:
    """Why: one decision a channel, or None, and only the causes that made it."""

    longitudinal: Longitudinal | None
    lateral: Lateral | None
    causes: tuple[Cause, ...]
    text: str
    source: str  # who says so: "expert", "nano", ...
    side: str = ""  # "left" or "right": where the lateral decision leads; "" where it leads nowhere or is not told


@dataclass(frozen=True, eq=False)
class Decision:
    """A plan of 64 poses at 10 Hz, t+0.1 s .. t+6.4 s, in the rig frame of now, and the reason given for it."""

    trajectory: Trajectory
    candidates: tuple[Trajectory, ...]
    reasoning: ReasoningTrace | None
    policy: str
    latency_ms: float


@dataclass(frozen=True, eq=False)
class Controls:
    """Commands to the actuators."""

    accel_mps2: float
    curvature_1pm: float


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the runtime did with a decision: "pass", "clip" or "fallback", and why."""

    action: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class DriveOutput:
    decision: Decision
    controls: Controls
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Sample:
    """One training window: what was seen, what the ego then did (rig frame at t), and why."""

    observation: Observation
    future: Trajectory
    reasoning: ReasoningTrace | None
    clip_id: str


@dataclass(frozen=True, eq=False)
class Step:
    """The state in which a decision was taken, and the decision."""

    state: WorldState
    output: DriveOutput


@dataclass(frozen=True, eq=False)
class Rollout:
    scenario: Scenario
    steps: tuple[Step, ...]
    final: WorldState
    ended: str  # "duration", "arrived", "collision", "off-road", "interrupted" or "error: ..."


@dataclass(frozen=True, eq=False)
class MetricResult:
    name: str
    value: float
    valid: bool
    unit: str
    better: str  # "higher", "lower" or ""


@dataclass(frozen=True, eq=False)
class Report:
    rows: tuple[tuple[MetricResult, ...], ...]
    summary: tuple[MetricResult, ...]
    provenance: tuple[tuple[str, str], ...]
