"""What moves: trajectories, the ego vehicle, agents, the state of the world, and a scenario to drive."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from cordillera.types.arrays import Bool, Float, Int
from cordillera.types.kinds import Gesture, Heed, LightState, Weather, When


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Stamped poses in one named frame: "world", "local" or "rig" (the rig at the time of planning)."""

    t_us: Int  # (N,) strictly increasing
    xyz: Float  # (N, 3)
    quat_xyzw: Float  # (N, 4) unit
    frame: str


@dataclass(frozen=True, eq=False)
class EgoState:
    """The ego vehicle at its rear axle. Velocity is in the rig frame; `accel` and `curvature` are the actuators'."""

    t_us: int
    xyz: Float  # (3,) world
    quat_xyzw: Float  # (4,) world
    velocity_mps: Float  # (3,) rig: forward, left, up
    accel_mps2: float = 0.0  # realised, along the heading
    curvature_1pm: float = 0.0  # realised by the steering, positive to the left
    yaw_rate_radps: float = 0.0

    @property
    def speed_mps(self) -> float:
        """Signed forward speed."""
        return float(self.velocity_mps[0])


@dataclass(frozen=True, eq=False)
class VehicleSpec:
    """Dimensions of the ego vehicle; defaults are a mid-size SUV."""

    length_m: float = 4.87
    width_m: float = 2.12
    height_m: float = 1.70
    rear_axle_to_center_m: float = 1.43  # from the rear axle forward to the centre of the box
    wheelbase_m: float = 2.85
    track_m: float = 1.66


@dataclass(frozen=True, eq=False)
class Agents:
    """All other movable things, one row each; rows with `valid` false are not there. `lane` is -1 off the lanes."""

    id: Int  # (A,) unique, stable
    kind: Int  # (A,) AgentKind
    xyz: Float  # (A, 3) world, centre of the footprint, on the ground
    yaw_rad: Float  # (A,)
    speed_mps: Float  # (A,) along the heading
    accel_mps2: Float  # (A,)
    size_lwh: Float  # (A, 3) m
    lane: Int  # (A,) lane that the agent follows
    s_m: Float  # (A,) arc length of the box centre along that lane
    valid: Bool  # (A,)
    blinker: Int = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (A,) 1 left, -1 right, 2 both, 0 off
    wait_s: Float = field(default_factory=lambda: np.zeros(0))  # (A,) time since it came to a stand, 0 when under way
    crossing: Int = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (A,) being walked over, -1 for none
    lateral_m: Float = field(default_factory=lambda: np.zeros(0))  # (A,) from the lane's centre, left positive
    lateral_mps: Float = field(default_factory=lambda: np.zeros(0))  # (A,) its change
    task: Int = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (A,) 0 drives, 1 parks, 2 pulls out
    shows: Int = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (A,) Gesture

    def __post_init__(self) -> None:
        """The columns from `blinker` on may be left out: off, under way, on no crossing, in mid-lane."""
        count = len(self.id)
        defaults = (("blinker", 0), ("wait_s", 0.0), ("crossing", -1))
        for name, default in (*defaults, ("lateral_m", 0.0), ("lateral_mps", 0.0), ("task", 0), ("shows", 0)):
            if len(getattr(self, name)) == 0 and count:
                object.__setattr__(self, name, np.full(count, default))


@dataclass(frozen=True, eq=False)
class WorldState:
    """Everything that changes: with its scenario it determines the future."""

    t_us: int
    ego: EgoState
    agents: Agents
    signals: Int  # (len(map.signals),) LightState


@dataclass(frozen=True, eq=False)
class Route:
    """Where to go: a line in `frame`, the next instruction as command and text, and the lanes it runs on if known."""

    xyz: Float  # (N, 3), about 2 m apart
    command: str = "follow"  # "follow", "left", "right", "straight", "change-left", "change-right", "arrive"
    text: str = ""  # e.g. "Turn left in 40 m"
    frame: str = "world"
    lanes: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Trigger:
    """What starts a phase: a condition, how much, and where along the ego's route; see `When`."""

    when: When = When.ALWAYS
    value: float = 0.0
    at_m: float = 0.0  # arc length of the ego's route
    other: int = -1  # id of the agent whose script is meant


@dataclass(frozen=True, eq=False)
class Phase:
    """How a scripted agent moves from its trigger on, until the trigger of the next phase."""

    trigger: Trigger = field(default_factory=Trigger)
    speed_mps: float = 0.0  # wanted
    accel_mps2: float = 2.0  # at most, to gain speed
    brake_mps2: float = 3.0  # at most, to lose speed; for those it heeds it brakes up to 8
    stop_at_m: float = math.inf  # of its line: it comes to a stand there
    aside_m: float = 0.0  # offset from its line, left positive, that it moves to
    aside_mps: float = 1.2  # how fast it moves there
    pace_m: float = math.nan  # keeps so far ahead of the ego (centre to centre), at most at `speed_mps`
    heeds: Heed = Heed.NOBODY
    blinker: int = 0
    shows: Gesture = Gesture.NONE
    visible: bool = True


@dataclass(frozen=True, eq=False)
class Script:
    """An agent that follows a line of its own, phase by phase; `Agents` keeps where it is in both.

    Its row has `lane` -1, `s_m` along the line, `lateral_m` off it, `task` 10 + the phase and `wait_s` the time that
    the phase's clock shows.
    """

    agent: int  # id of its row
    xyz: Float  # (N, 3) world: the line of its footprint's centre, N >= 2
    phases: tuple[Phase, ...]
    at_end: str = "stop"  # "stop": comes to a stand at the end of its line; "vanish": is gone then
    backwards: bool = False  # it reverses: heads against its line


@dataclass(frozen=True, eq=False)
class LightScript:
    """Signals that leave their programme for a time: a fixed state, or the programme's state of some time before."""

    signals: tuple[int, ...]  # indices into RoadMap.signals
    shows: LightState | None = None  # None: as programmed, `late_s` later
    late_s: float = 0.0
    from_s: float = 0.0  # since the scenario began
    until_s: float = math.inf


@dataclass(frozen=True, eq=False)
class Scenario:
    """One situation to drive: a map by name, the state at the start, the task, and the conditions."""

    name: str
    seed: int
    region: str
    map: str  # what world.maps.load_map takes: a bundled name, a file, or a built road's specification
    map_sha256: str
    initial: WorldState
    route: Route
    duration_s: float
    tags: tuple[str, ...] = ()
    weather: Weather = Weather.CLEAR
    hour: float = 12.0  # local solar time, 0..24
    vehicle: VehicleSpec = field(default_factory=VehicleSpec)
    scripts: tuple[Script, ...] = ()
    light_scripts: tuple[LightScript, ...] = ()
    family: str = ""  # name in world.scenarios.FAMILIES, "" for none
    recording: str = ""  # what world.replay.recording_path takes, "" without recorded traffic
    recorded_ego: int = -1  # the recorded vehicle whose place the ego takes
