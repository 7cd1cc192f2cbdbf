"""Small roads made to order: "built:four_way,side=left,control=stop" -> a complete road map.

Everything is built for right-hand traffic; left-hand roads are the exact mirror image (y -> -y), save that who goes
first follows the rules of the region. Kinds and their parameters are the dataclasses of `build_streets` and
`build_junctions`; lengths are in m, speeds in km/h, angles in degrees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cordillera.types import RoadMap
from cordillera.world.build_draft import Draft, mirrored
from cordillera.world.build_junctions import FourWay, Roundabout, TJunction, four_way, roundabout, t_junction
from cordillera.world.build_spec import RoadSpec, canonical, nearest_right, parse, split
from cordillera.world.build_streets import (
    CurveRoad,
    Merge,
    Rural,
    Straight,
    WorkZone,
    curve,
    merge,
    rural,
    straight,
    work_zone,
)  # fmt: skip
from cordillera.world.topology import finish

KINDS: dict[str, tuple[type[RoadSpec], Callable[[Any], Draft]]] = {
    "straight": (Straight, straight),
    "curve": (CurveRoad, curve),
    "t_junction": (TJunction, t_junction),
    "four_way": (FourWay, four_way),
    "roundabout": (Roundabout, roundabout),
    "merge": (Merge, merge),
    "work_zone": (WorkZone, work_zone),
    "rural": (Rural, rural),
}


def parse_road(spec: str) -> tuple[str, RoadSpec]:
    """ "built:kind,key=value,..." -> kind, parameters. Raises ValueError that names what is wrong and what is right."""
    kind, values = split(spec)
    if kind not in KINDS:
        raise ValueError(f"road {spec!r}: unknown kind {kind!r}" + nearest_right(kind, list(KINDS)))
    return kind, parse(KINDS[kind][0], values, spec)


def build_road(spec: str) -> RoadMap:
    """ "built:kind,key=value,..." -> the road map, named by the shortest text that builds it again."""
    kind, parameters = parse_road(spec)
    name = canonical(kind, parameters)
    road_map = KINDS[kind][1](parameters).road_map(name, hashlib.sha256(name.encode()).hexdigest())
    road_map = finish(mirrored(road_map) if parameters.side == "left" else road_map)
    if getattr(parameters, "control", "") == "none":
        road_map = replace(road_map, conflicts=tuple(replace(c, yields=False) for c in road_map.conflicts))
    return road_map
