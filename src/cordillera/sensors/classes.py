"""What a pixel can be: semantic classes with their palette, instance numbers, and the materials of meshes."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from cordillera.types import AgentKind

# Instance numbers of a picture (uint16): agents by row, signals and map objects by index, 0 for everything else.
AGENT_BASE = 1
SIGNAL_BASE = 20_000
OBJECT_BASE = 40_000


class Semantic(IntEnum):
    """Classes of the semantic picture; the value is the code of a pixel."""

    VOID = 0
    ROAD = 1
    LANE_MARK = 2
    CROSSING = 3
    STOP_LINE = 4
    BIKE_LANE = 5
    SIDEWALK = 6
    KERB = 7
    TERRAIN = 8
    BUILDING = 9
    GUARD_RAIL = 10
    POLE = 11
    TRAFFIC_LIGHT = 12
    TRAFFIC_SIGN = 13
    VEGETATION = 14
    SKY = 15
    PERSON = 16
    RIDER = 17
    CAR = 18
    TRUCK = 19
    BUS = 20
    TRAM = 21
    MOTORCYCLE = 22
    BICYCLE = 23
    ANIMAL = 24
    OBSTACLE = 25


# Colours of the palette picture; where a class exists in Cityscapes, the customary colour of that class.
PALETTE = np.array(
    [
        (0, 0, 0), (128, 64, 128), (230, 230, 230), (200, 200, 90), (255, 255, 255), (150, 70, 70), (244, 35, 232),
        (196, 196, 196), (152, 251, 152), (70, 70, 70), (180, 165, 180), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
        (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32), (165, 42, 42), (255, 120, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip

SEMANTIC_OF = {
    AgentKind.CAR: Semantic.CAR,
    AgentKind.VAN: Semantic.CAR,
    AgentKind.TRUCK: Semantic.TRUCK,
    AgentKind.BUS: Semantic.BUS,
    AgentKind.MOTORCYCLE: Semantic.MOTORCYCLE,
    AgentKind.BICYCLE: Semantic.BICYCLE,
    AgentKind.PEDESTRIAN: Semantic.PERSON,
    AgentKind.WHEELCHAIR: Semantic.PERSON,
    AgentKind.ANIMAL: Semantic.ANIMAL,
    AgentKind.TRAM: Semantic.TRAM,
    AgentKind.TRAILER: Semantic.TRUCK,
    AgentKind.AMBULANCE: Semantic.TRUCK,
    AgentKind.POLICE_CAR: Semantic.CAR,
    AgentKind.FIRE_ENGINE: Semantic.TRUCK,
    AgentKind.CONE: Semantic.OBSTACLE,
    AgentKind.BARRIER: Semantic.OBSTACLE,
    AgentKind.DEBRIS: Semantic.OBSTACLE,
    AgentKind.WARNING_TRIANGLE: Semantic.OBSTACLE,
    AgentKind.FALLEN_TREE: Semantic.OBSTACLE,
    AgentKind.SCHOOL_BUS: Semantic.BUS,
    AgentKind.POLICE_OFFICER: Semantic.PERSON,
    AgentKind.FLAGGER: Semantic.PERSON,
    AgentKind.TRAIN: Semantic.TRAM,
    AgentKind.TRACTOR: Semantic.TRUCK,
    AgentKind.CARGO: Semantic.OBSTACLE,
    AgentKind.DOOR: Semantic.CAR,
    AgentKind.GATE: Semantic.OBSTACLE,
    AgentKind.WORK_MACHINE: Semantic.TRUCK,
    AgentKind.BALL: Semantic.OBSTACLE,
    AgentKind.POTHOLE: Semantic.OBSTACLE,
    AgentKind.FLOOD: Semantic.OBSTACLE,
}

# Materials: how the shader lights a triangle. The colour is the triangle's, unless it says tint.
MATTE = 0
PAINT = 1  # tint 1, with a clear coat
PAINT_2 = 2  # tint 2, with a clear coat
GLASS = 3
HEADLAMP = 4
TAILLAMP = 5
BLINKER_LEFT = 6
BLINKER_RIGHT = 7
BEACON = 8  # emergency lights
CLOTH_1 = 9  # tint 1
CLOTH_2 = 10  # tint 2
FOLIAGE = 11
FACADE = 12
ROOF = 13
GROUND = 14
DECK = 15  # a road surface that bridges another
SIGN = 16
LENS_TOP = 17
LENS_MIDDLE = 18
LENS_BOTTOM = 19
STREET_LAMP = 20
RETRO = 21  # retroreflective, bright in head lamps
METAL = 22
RIDER_CLOTH = 23  # as cloth 1, but the pixel belongs to a rider

# Flags of an instance.
BRAKING = 1
INDICATES_LEFT = 2
INDICATES_RIGHT = 4
LAMPS_ON = 8
BEACONS_ON = 16
LIT_TOP = 32
LIT_MIDDLE = 64
LIT_BOTTOM = 128
