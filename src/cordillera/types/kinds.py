"""The closed sets: kinds of agents, lanes and signals, light states, decisions, weather."""

from __future__ import annotations

import math
from enum import IntEnum, StrEnum


class AgentKind(IntEnum):
    """What an agent is; the value is the code in `Agents.kind`. Codes from 64 up do not move by themselves."""

    CAR = 0
    VAN = 1
    TRUCK = 2
    BUS = 3
    MOTORCYCLE = 4
    BICYCLE = 5  # with its rider
    PEDESTRIAN = 6
    WHEELCHAIR = 7
    ANIMAL = 8
    TRAM = 9
    TRAILER = 10
    AMBULANCE = 11
    POLICE_CAR = 12
    FIRE_ENGINE = 13
    SCHOOL_BUS = 14  # shows Gesture.STOP with its arm out
    POLICE_OFFICER = 15
    FLAGGER = 16
    TRAIN = 17
    TRACTOR = 18
    CONE = 64
    BARRIER = 65
    DEBRIS = 66
    WARNING_TRIANGLE = 67
    FALLEN_TREE = 68
    CARGO = 69  # boxes, pallets, furniture: lost loads
    DOOR = 70  # of a parked vehicle, open
    GATE = 71  # of a rail crossing, down
    WORK_MACHINE = 72
    BALL = 73
    POTHOLE = 96  # from here on no bodies but ground
    FLOOD = 97


# What may be driven over, and at most how fast; all else is struck at any speed.
PASSABLE_MPS = {AgentKind.BALL: math.inf, AgentKind.POTHOLE: 5.0, AgentKind.FLOOD: 2.8}


class Gesture(IntEnum):
    """What somebody shows to the traffic he faces; the value is the code in `Agents.shows`."""

    NONE = 0
    STOP = 1  # an officer's raised hand, a flagger's stop paddle, a school bus's arm and red lights
    GO = 2
    SLOW = 3


class LightState(IntEnum):
    """What a traffic light shows; the value is the code in `WorldState.signals`. Static signs stay OFF."""

    OFF = 0
    RED = 1
    RED_AMBER = 2
    AMBER = 3
    GREEN = 4
    FLASHING_AMBER = 5
    FLASHING_RED = 6


class When(StrEnum):
    """What starts a phase of a script; `Trigger.value` and `Trigger.at_m` say how much and where."""

    ALWAYS = "always"
    TIME = "time"  # `value` seconds after the scenario began
    AFTER = "after"  # `value` seconds after the phase before began
    STOOD = "stood"  # as AFTER, but counted only while the agent stands
    EGO_NEAR = "ego near"  # the ego's front is within `value` metres before `at_m` of its route, or past it
    EGO_DUE = "ego due"  # the ego's front will be at `at_m` of its route within `value` seconds, or is past it
    EGO_STANDS = "ego stands"  # the ego stands with its front within `value` metres before `at_m` of its route
    REACHED = "reached"  # the agent has come to `value` metres of its line
    PHASE_OF = "phase of"  # the script of agent `other` has come to phase `value` or beyond


class Heed(StrEnum):
    """For whom a scripted agent brakes."""

    NOBODY = "nobody"
    EGO = "ego"
    EVERYONE = "everyone"


class LaneKind(StrEnum):
    """What a lane is for. Routes use DRIVING and BUS; the rest is drawn and bounds the drivable area."""

    DRIVING = "driving"
    BUS = "bus"
    BIKING = "biking"
    SIDEWALK = "sidewalk"
    SHOULDER = "shoulder"
    PARKING = "parking"
    MEDIAN = "median"
    BORDER = "border"
    KERB = "kerb"
    RAIL = "rail"
    RESTRICTED = "restricted"
    OTHER = "other"


class SignalKind(StrEnum):
    """What a signal or sign demands, as far as driving rules go; `Signal.code` keeps the exact national type."""

    TRAFFIC_LIGHT = "traffic_light"
    PEDESTRIAN_LIGHT = "pedestrian_light"
    STOP = "stop"
    GIVE_WAY = "give_way"
    PRIORITY = "priority"
    SPEED_LIMIT = "speed_limit"
    CROSSING = "crossing"
    OTHER = "other"


class Longitudinal(StrEnum):
    """The closed set of longitudinal decisions: the first action after the keyframe."""

    SET_SPEED = "set-speed tracking"
    FOLLOW_LEAD = "lead-obstacle following"
    SPEED_ADAPTATION = "speed adaptation"
    GAP_SEARCH = "gap searching"
    OVERTAKE = "acceleration for passing"
    YIELD = "yield"
    STOP = "stop for static constraint"


class Lateral(StrEnum):
    """The closed set of lateral decisions."""

    LANE_KEEPING = "lane keeping"
    MERGE_SPLIT = "merge or split"
    OUT_OF_LANE_NUDGE = "out-of-lane nudge"
    IN_LANE_NUDGE = "in-lane nudge"
    LANE_CHANGE = "lane change"
    PULL_OVER = "pull-over"
    TURN = "turn"
    ABORT = "lateral manoeuvre abort"


class Weather(StrEnum):
    CLEAR = "clear"
    CLOUDY = "cloudy"
    RAIN = "rain"
    FOG = "fog"


class CameraName(StrEnum):
    """The cameras of the data set's vehicle, in ascending order of their index in the released models."""

    CROSS_LEFT = "camera_cross_left_120fov"
    FRONT_WIDE = "camera_front_wide_120fov"
    CROSS_RIGHT = "camera_cross_right_120fov"
    REAR_LEFT = "camera_rear_left_70fov"
    REAR_TELE = "camera_rear_tele_30fov"
    REAR_RIGHT = "camera_rear_right_70fov"
    FRONT_TELE = "camera_front_tele_30fov"
