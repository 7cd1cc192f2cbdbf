"""Agents of a world state -> instances: which mesh, how large, which colours, which lamps lit, how the limbs swing."""

from __future__ import annotations

import functools
import math

import numpy as np

from cordillera.sensors import meshes_people as people
from cordillera.sensors import meshes_rare as rare
from cordillera.sensors import meshes_street as street
from cordillera.sensors import meshes_vehicles as cars
from cordillera.sensors.classes import (
    AGENT_BASE,
    BEACONS_ON,
    BRAKING,
    GLASS,
    INDICATES_LEFT,
    INDICATES_RIGHT,
    LAMPS_ON,
    MATTE,
    SEMANTIC_OF,
    SIGNAL_BASE,
)
from cordillera.sensors.scene_arrays import Instances, Prototype, no_instances, yaw_axes
from cordillera.types import AgentKind, Agents, Float, Gesture

# Usual colours of cars (linear): white, black, greys, blues, red, green, beige.
PAINTS = np.array(
    [
        (0.70, 0.70, 0.69),
        (0.02, 0.02, 0.022),
        (0.16, 0.17, 0.18),
        (0.38, 0.39, 0.40),
        (0.03, 0.07, 0.22),
        (0.36, 0.02, 0.025),
        (0.09, 0.10, 0.11),
        (0.62, 0.62, 0.60),
        (0.05, 0.14, 0.28),
        (0.04, 0.10, 0.07),
        (0.40, 0.34, 0.25),
        (0.50, 0.51, 0.52),
    ]
)
CLOTHES = np.array(
    [
        (0.05, 0.07, 0.14),
        (0.30, 0.05, 0.05),
        (0.50, 0.48, 0.42),
        (0.04, 0.04, 0.045),
        (0.10, 0.20, 0.12),
        (0.45, 0.28, 0.06),
        (0.18, 0.30, 0.45),
        (0.33, 0.10, 0.22),
        (0.22, 0.22, 0.23),
        (0.60, 0.57, 0.10),
    ]
)
TROUSERS = np.array([(0.03, 0.04, 0.09), (0.05, 0.05, 0.05), (0.16, 0.13, 0.09), (0.09, 0.10, 0.14)])
LIVERY = {
    AgentKind.BUS: ((0.62, 0.50, 0.10), (0.50, 0.10, 0.05)),
    AgentKind.TRAM: ((0.60, 0.60, 0.58), (0.40, 0.04, 0.04)),
    AgentKind.AMBULANCE: ((0.75, 0.75, 0.74), (0.60, 0.08, 0.03)),
    AgentKind.POLICE_CAR: ((0.60, 0.61, 0.62), (0.02, 0.07, 0.30)),
    AgentKind.FIRE_ENGINE: ((0.45, 0.02, 0.02), (0.70, 0.70, 0.65)),
    AgentKind.TRAIN: ((0.55, 0.55, 0.54), (0.40, 0.04, 0.04)),
    AgentKind.POLICE_OFFICER: ((0.02, 0.03, 0.09), (0.02, 0.03, 0.07)),
    AgentKind.FLAGGER: ((0.60, 0.20, 0.02), (0.05, 0.06, 0.10)),
}
# reference sizes, which the size of an agent scales
REFERENCE = {
    "sedan": cars.SEDAN.size_lwh,
    "hatch": cars.HATCH.size_lwh,
    "suv": cars.SUV.size_lwh,
    "van": cars.VAN.size_lwh,
    "bus": (12.0, 2.5, 3.1),
    "truck": (8.5, 2.5, 3.5),
    "tram": (30.0, 2.4, 3.3),
    "trailer": (10.0, 2.5, 3.8),
    "police": (4.6, 1.82, 1.52),
    "ambulance": (5.3, 2.0, 2.35),
    "fire": (8.5, 2.5, 3.5),
    "motorcycle": (2.05, 0.75, 1.6),
    "bicycle": (1.75, 0.6, 1.8),
    "pedestrian": (0.5, 0.6, 1.75),
    "wheelchair": (1.0, 0.65, 1.35),
    "animal": (1.5, 0.4, 1.4),
    "cone": (0.4, 0.4, 0.75),
    "barrier": (0.6, 2.0, 1.0),
    "debris": (1.0, 0.8, 0.35),
    "triangle": (0.3, 0.5, 0.45),
    "fallen": (2.0, 8.0, 1.4),
    "officer": (0.5, 0.6, 1.75),
    "flagger": (0.5, 0.6, 1.75),
    "school-bus": (11.0, 2.45, 3.05),
    "train": (60.0, 2.85, 4.1),
    "tractor": (4.4, 2.1, 2.8),
    "cargo": (1.2, 1.0, 0.85),
    "door": (0.12, 1.0, 1.4),
    "gate": (0.3, 6.0, 1.2),
    "machine": (6.0, 2.5, 2.9),
    "ball": (0.25, 0.25, 0.25),
    "pothole": (1.0, 1.0, 1.0),
    "flood": (1.0, 1.0, 1.0),
}
MESH_OF = {
    AgentKind.VAN: "van",
    AgentKind.TRUCK: "truck",
    AgentKind.BUS: "bus",
    AgentKind.MOTORCYCLE: "motorcycle",
    AgentKind.BICYCLE: "bicycle",
    AgentKind.PEDESTRIAN: "pedestrian",
    AgentKind.WHEELCHAIR: "wheelchair",
    AgentKind.ANIMAL: "animal",
    AgentKind.TRAM: "tram",
    AgentKind.TRAILER: "trailer",
    AgentKind.AMBULANCE: "ambulance",
    AgentKind.POLICE_CAR: "police",
    AgentKind.FIRE_ENGINE: "fire",
    AgentKind.CONE: "cone",
    AgentKind.BARRIER: "barrier",
    AgentKind.DEBRIS: "debris",
    AgentKind.WARNING_TRIANGLE: "triangle",
    AgentKind.FALLEN_TREE: "fallen",
    AgentKind.POLICE_OFFICER: "officer",
    AgentKind.FLAGGER: "flagger",
    AgentKind.SCHOOL_BUS: "school-bus",
    AgentKind.TRAIN: "train",
    AgentKind.TRACTOR: "tractor",
    AgentKind.CARGO: "cargo",
    AgentKind.DOOR: "door",
    AgentKind.GATE: "gate",
    AgentKind.WORK_MACHINE: "machine",
    AgentKind.BALL: "ball",
    AgentKind.POTHOLE: "pothole",
    AgentKind.FLOOD: "flood",
}
GESTURES = {Gesture.STOP: "stop", Gesture.GO: "go", Gesture.SLOW: "slow"}
SHOWING = {  # the gestures for which a mesh has a variant
    "officer": tuple(GESTURES.values()), "flagger": tuple(GESTURES.values()), "school-bus": ("stop",),
}  # fmt: skip
FLAT_KINDS = {AgentKind.POTHOLE, AgentKind.FLOOD}
SLIM_KINDS = {AgentKind.PEDESTRIAN, AgentKind.POLICE_OFFICER, AgentKind.FLAGGER}
WALKERS = {AgentKind.PEDESTRIAN, AgentKind.BICYCLE, AgentKind.ANIMAL}
BEACON_KINDS = {
    AgentKind.AMBULANCE,
    AgentKind.POLICE_CAR,
    AgentKind.FIRE_ENGINE,
    AgentKind.TRACTOR,
    AgentKind.WORK_MACHINE,
    AgentKind.GATE,
}


@functools.cache  # made once a process, and only read
def agent_prototypes() -> dict[str, Prototype]:
    """Nothing -> the meshes of all kinds of agents, by name."""
    return {
        "sedan": cars.car(cars.SEDAN),
        "hatch": cars.car(cars.HATCH),
        "suv": cars.car(cars.SUV),
        "van": cars.car(cars.VAN, solid_rear=True),
        "bus": cars.bus(),
        "truck": cars.truck(),
        "tram": cars.tram(),
        "trailer": cars.trailer(),
        "police": cars.car(cars.SEDAN, bar=True, stripe=True),
        "ambulance": cars.car(cars.VAN, bar=True, stripe=True, solid_rear=True),
        "fire": cars.truck(bar=True),
        "motorcycle": people.motorcycle(),
        "bicycle": people.bicycle(),
        "pedestrian": people.pedestrian(),
        "wheelchair": people.wheelchair(),
        "animal": people.animal(),
        "cone": street.cone(),
        "barrier": street.barrier(),
        "debris": street.debris(),
        "triangle": street.warning_triangle(),
        "fallen": street.fallen_tree(),
        **rare_prototypes(),
    }


def rare_prototypes() -> dict[str, Prototype]:
    """Nothing -> the meshes of seldom kinds; "officer:stop" is the officer who shows that."""
    out = {
        "school-bus": rare.school_bus(False),
        "school-bus:stop": rare.school_bus(True),
        "train": rare.train(),
        "tractor": rare.tractor(),
        "cargo": rare.cargo(),
        "door": rare.door(),
        "gate": rare.gate(),
        "machine": rare.work_machine(),
        "ball": rare.ball(),
        "pothole": rare.patch((0.012, 0.011, 0.010), (0.10, 0.095, 0.09), MATTE),
        "flood": rare.patch((0.10, 0.11, 0.11), (0.05, 0.05, 0.045), GLASS),
    }
    for gesture in ("", *SHOWING["officer"]):
        suffix = f":{gesture}" if gesture else ""
        out[f"officer{suffix}"] = rare.worker(rare.LIME, (0.02, 0.03, 0.09), gesture)
        out[f"flagger{suffix}"] = rare.worker(rare.ORANGE, rare.YELLOW, gesture and f"paddle-{gesture}")
    return out


def mesh_name(kind: AgentKind, agent_id: int, size: Float) -> str:
    """A kind, an identity and a size -> the mesh that stands for it."""
    if kind != AgentKind.CAR:
        return MESH_OF[kind]
    if size[2] > 1.62:
        return "suv"
    return "hatch" if size[0] < 4.25 or agent_id % 3 == 0 else "sedan"


def agent_instances(agents: Agents, names: dict[str, int], lamps_on: bool, slope: Float) -> Instances:
    """The agents now, and the slope under each (nose up, rad) -> instances of those that are there."""
    rows = np.flatnonzero(agents.valid)
    if len(agents.id) > SIGNAL_BASE - AGENT_BASE:
        raise ValueError(f"a picture can number {SIGNAL_BASE - AGENT_BASE} agents, not {len(agents.id)}")
    out = no_instances(len(rows))
    out.xyz[:] = agents.xyz[rows]
    out.axes[:] = yaw_axes(agents.yaw_rad[rows], slope[rows])
    out.label[:] = AGENT_BASE + rows
    for n, row in enumerate(rows):
        kind, identity = AgentKind(int(agents.kind[row])), int(agents.id[row])
        name, size = mesh_name(kind, identity, agents.size_lwh[row]), agents.size_lwh[row]
        shown = GESTURES.get(Gesture(int(agents.shows[row])), "")
        out.proto[n] = names[f"{name}:{shown}" if shown in SHOWING.get(name, ()) else name]
        if kind >= AgentKind.CONE and size[0] > size[1] and REFERENCE[name][0] < REFERENCE[name][1]:  # lies along x
            out.axes[n] = yaw_axes(agents.yaw_rad[row : row + 1] + 0.5 * math.pi)[0]
            size = size[[1, 0, 2]]
        out.scale[n] = size / np.array(REFERENCE[name])
        if kind in FLAT_KINDS:
            out.scale[n, 2] = 1.0
        elif kind in SLIM_KINDS:  # widths of people vary less than the boxes around them
            out.scale[n, :2] = out.scale[n, 2]
        out.semantic[n] = SEMANTIC_OF[kind]
        out.seed[n] = identity
        out.tint[n] = _tint(kind, identity)
        out.flags[n] = _flags(kind, agents, int(row), lamps_on)
        if kind in WALKERS:
            speed = abs(float(agents.speed_mps[row]))
            yaw = float(agents.yaw_rad[row])
            along = agents.xyz[row, 0] * math.cos(yaw) + agents.xyz[row, 1] * math.sin(yaw)
            stride = 1.45 if kind == AgentKind.PEDESTRIAN else 5.0 if kind == AgentKind.BICYCLE else 1.6
            full = 1.3 if kind == AgentKind.PEDESTRIAN else 1.0
            out.gait[n] = (2.0 * math.pi * along / stride + identity, min(1.0, speed / full))
    return out


def _tint(kind: AgentKind, identity: int) -> Float:
    """Kind and identity -> two colours."""
    mixed = (identity * 2654435761) & 0xFFFFFFFF
    if kind in LIVERY:
        return np.array(LIVERY[kind])
    if kind in (AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR):
        return np.stack([CLOTHES[(mixed >> 8) % len(CLOTHES)], TROUSERS[(mixed >> 16) % len(TROUSERS)]])
    if kind in (AgentKind.BICYCLE, AgentKind.MOTORCYCLE):
        return np.stack([CLOTHES[(mixed >> 8) % len(CLOTHES)], PAINTS[(mixed >> 16) % len(PAINTS)]])
    return np.stack([PAINTS[(mixed >> 8) % len(PAINTS)], PAINTS[(mixed >> 16) % 4 + 7]])


def _flags(kind: AgentKind, agents: Agents, row: int, lamps_on: bool) -> int:
    """An agent -> which of its lamps are lit. Brake lights show from 0.6 m/s2 of braking, and at a stand."""
    speed, accel = float(agents.speed_mps[row]), float(agents.accel_mps2[row])
    flags = LAMPS_ON if lamps_on else 0
    if accel < -0.6 or abs(speed) < 0.1:
        flags |= BRAKING
    flags |= {1: INDICATES_LEFT, -1: INDICATES_RIGHT, 2: INDICATES_LEFT | INDICATES_RIGHT}.get(
        int(agents.blinker[row]), 0
    )
    warns = kind == AgentKind.SCHOOL_BUS and agents.shows[row] == Gesture.STOP
    return flags | (BEACONS_ON if kind in BEACON_KINDS or warns else 0)
