"""The vocabulary: every value that crosses a seam, as frozen dataclasses over numpy arrays.

Conventions that hold for every field of this module:

* Units are SI and stand in the name (`_m`, `_mps`, `_mps2`, `_1pm`, `_s`, `_us`, `_rad`); angles are radians.
* Frames: `world` is the map's own frame (right-handed, x east, y north, z up); `rig` is the ego vehicle
  (x forward, y left, z up), its origin the rear-axle centre on the ground; `camera` is optical (x right,
  y down, z forward). `tf_a_b` maps coordinates of b into a, so it is the pose of b in a.
* Quaternions are (x, y, z, w), unit length. Yaw is counter-clockwise from +x.
* Invalid is a mask or an empty array, never a magic number; an index that points nowhere is -1.
* Two values are compared with `same`, since arrays have no truth value.
"""

from cordillera.types.arrays import Bool, Float, Int, same
from cordillera.types.drive import (
    Camera,
    Cause,
    Controls,
    Decision,
    DriveOutput,
    MetricResult,
    Observation,
    ReasoningTrace,
    Report,
    Rig,
    Rollout,
    Sample,
    Step,
    Truth,
    Verdict,
)
from cordillera.types.kinds import (
    PASSABLE_MPS,
    AgentKind,
    CameraName,
    Gesture,
    Heed,
    LaneKind,
    Lateral,
    LightState,
    Longitudinal,
    SignalKind,
    Weather,
    When,
)
from cordillera.types.motion import (
    Agents,
    EgoState,
    LightScript,
    Phase,
    Route,
    Scenario,
    Script,
    Trajectory,
    Trigger,
    VehicleSpec,
    WorldState,
)
from cordillera.types.road import Conflict, Crossing, Lane, MapObject, RoadMap, RoadMark, Signal, StopLine

__all__ = [
    "PASSABLE_MPS",
    "AgentKind",
    "Agents",
    "Bool",
    "Camera",
    "CameraName",
    "Cause",
    "Conflict",
    "Controls",
    "Crossing",
    "Decision",
    "DriveOutput",
    "EgoState",
    "Float",
    "Gesture",
    "Heed",
    "Int",
    "Lane",
    "LaneKind",
    "Lateral",
    "LightScript",
    "LightState",
    "Longitudinal",
    "MapObject",
    "MetricResult",
    "Observation",
    "Phase",
    "ReasoningTrace",
    "Report",
    "Rig",
    "RoadMap",
    "RoadMark",
    "Rollout",
    "Route",
    "Sample",
    "Scenario",
    "Script",
    "Signal",
    "SignalKind",
    "Step",
    "StopLine",
    "Trajectory",
    "Trigger",
    "Truth",
    "VehicleSpec",
    "Verdict",
    "Weather",
    "When",
    "WorldState",
    "same",
]
