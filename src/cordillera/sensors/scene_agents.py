"""Agents of a world state -> instances: which mesh, how large, which colours, which lamps lit, how the limbs swing."""

from __future__ import annotations

import math

import numpy as np

from cordillera.sensors import meshes_people as people
from cordillera.sensors import meshes_street as street
from cordillera.sensors import meshes_vehicles as cars
from cordillera.sensors.classes import (
    AGENT_BASE,
    BEACONS_ON,
    BRAKING,
    INDICATES_LEFT,
    INDICATES_RIGHT,
    LAMPS_ON,
    SEMANTIC_OF,
    SIGNAL_BASE,
)
from cordillera.sensors.scene_arrays import Instances, Prototype, no_instances, yaw_axes
from cordillera.types import AgentKind, Agents, Float

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
}
WALKERS = {AgentKind.PEDESTRIAN, AgentKind.BICYCLE, AgentKind.ANIMAL}
BEACON_KINDS = {AgentKind.AMBULANCE, AgentKind.POLICE_CAR, AgentKind.FIRE_ENGINE}


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
    }


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
        name = mesh_name(kind, identity, agents.size_lwh[row])
        out.proto[n] = names[name]
        out.scale[n] = agents.size_lwh[row] / np.array(REFERENCE[name])
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
            if kind == AgentKind.PEDESTRIAN:  # widths of people vary less than the boxes around them
                out.scale[n, :2] = out.scale[n, 2]
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
    flags |= INDICATES_LEFT if agents.blinker[row] > 0 else INDICATES_RIGHT if agents.blinker[row] < 0 else 0
    return flags | (BEACONS_ON if kind in BEACON_KINDS else 0)
