"""The map's lights and signs -> housings, plates and the posts that carry them; light states -> which lens is lit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from cordillera.sensors.classes import LIT_BOTTOM, LIT_MIDDLE, LIT_TOP, SIGNAL_BASE, Semantic
from cordillera.sensors.scene_arrays import Instances, no_instances, yaw_axes
from cordillera.sensors.scene_ground import Ground
from cordillera.sensors.textures import sign_names
from cordillera.types import Float, Int, LightState, MapObject, RoadMap, Signal, SignalKind

LIGHTS = {SignalKind.TRAFFIC_LIGHT, SignalKind.PEDESTRIAN_LIGHT}
MPH_REGIONS = {"US", "GB"}
LYING_REGIONS = {"JP"}
BARE_REGIONS = {"DE", "FR", "CH", "AT", "IT", "NL"}  # no back plates
ROADSIDE_GAP_M = 0.6
POST_GAP_M = 0.5


@dataclass(frozen=True, eq=False)
class SignalLayout:
    """Instances of lights and signs, their row by signal index (-1: painted on the road), and which are lights."""

    items: Instances
    row_of: Int  # (len(map.signals),)
    three: Int  # (N,) 1 for lights with an amber lens, 0 for two lenses, -1 for signs


def place_signals(
    road_map: RoadMap, ground: Ground, names: dict[str, int], region: str
) -> tuple[SignalLayout, Instances]:
    """Signals of a map -> their layout, and posts and arms. A post of the map's own is moved behind the face."""
    own = own_posts(road_map)
    floor = ground.height(np.array([s.xyz[:2] for s in road_map.signals])) if road_map.signals else np.zeros(0)
    upright = [k for k, s in enumerate(road_map.signals) if s.kind in LIGHTS or s.xyz[2] - floor[k] > 0.8]
    items = no_instances(len(upright))
    row_of = np.full(len(road_map.signals), -1, dtype=np.int64)
    three = np.full(len(upright), -1, dtype=np.int64)
    posts: list[Instances] = []
    for n, k in enumerate(upright):
        signal = road_map.signals[k]
        row_of[k] = n
        items.xyz[n] = signal.xyz
        items.xyz[n, 2] = max(signal.xyz[2], floor[k] + (2.2 if signal.kind in LIGHTS else 1.2))
        items.axes[n] = yaw_axes(np.array([signal.yaw_rad]))[0]
        items.label[n] = SIGNAL_BASE + k
        if signal.kind in LIGHTS:
            three[n] = int(signal.kind == SignalKind.TRAFFIC_LIGHT)
            lying = region in LYING_REGIONS and three[n] == 1
            name = "light2" if not three[n] else "light3-lying" if lying else "light3"
            name += "-bare" if name == "light3" and region in BARE_REGIONS else ""
            items.proto[n] = names[name]
            items.semantic[n] = Semantic.TRAFFIC_LIGHT
            longer = max(signal.size_wh)
            items.scale[n] = float(np.clip(longer, 0.9, 1.25)) if longer > 0.0 else 1.0
            if three[n] == 0:
                items.scale[n] *= 0.75
        else:
            tile = sign_names()[sign_name(signal, region)]
            items.proto[n], items.seed[n] = names[f"sign:{tile}"], tile
            items.semantic[n] = Semantic.TRAFFIC_SIGN
            items.scale[n, 1:] = float(np.clip(max(signal.size_wh), 0.60, 0.95)) if max(signal.size_wh) > 0.0 else 0.75
        if k in own:
            posts.append(_post_behind(items.xyz[n], signal, road_map.objects[own[k]], names, 0.5 * items.scale[n, 2]))
        else:
            posts += _posts(items.xyz[n], signal, ground, float(floor[k]), names, 0.5 * items.scale[n, 2])
    carrying = no_instances(len(posts))
    for k, post in enumerate(posts):
        for column, value in zip(carrying, post, strict=True):
            column[k] = value[0]
    carrying.semantic[:] = Semantic.POLE
    return SignalLayout(items, row_of, three), carrying


def light_flags(layout: SignalLayout, states: Int, t_us: int) -> Int:
    """Layout, states of all signals (S,), time -> flags of the layout's instances; flashing lights flash at 1 Hz."""
    flags = np.zeros(len(layout.three), dtype=np.int64)
    on = (t_us // 500_000) % 2 == 0
    lit = {
        LightState.RED: LIT_TOP, LightState.RED_AMBER: LIT_TOP | LIT_MIDDLE, LightState.AMBER: LIT_MIDDLE,
        LightState.GREEN: LIT_BOTTOM, LightState.FLASHING_AMBER: LIT_MIDDLE if on else 0,
        LightState.FLASHING_RED: LIT_TOP if on else 0, LightState.OFF: 0,
    }  # fmt: skip
    for k, row in enumerate(layout.row_of):
        if row >= 0 and layout.three[row] >= 0:
            flags[row] = lit[LightState(int(states[k]))]
    return flags


def sign_name(signal: Signal, region: str) -> str:
    """A sign and the region -> the name of its picture in the atlas."""
    us = region == "US"
    if signal.kind == SignalKind.STOP:
        return "regulatory--stop--g2" if region == "JP" else "regulatory--stop--g1"
    if signal.kind == SignalKind.GIVE_WAY:
        return "regulatory--yield--g1"
    if signal.kind == SignalKind.PRIORITY:
        return "regulatory--priority-road--g1"
    if signal.kind == SignalKind.SPEED_LIMIT:
        return _limit_name(signal, region)
    if signal.kind == SignalKind.CROSSING:
        return (
            "warning--pedestrians-crossing--g4" if us else f"information--pedestrians-crossing--g{1 + (region == 'JP')}"
        )
    by_code = {
        "DE:123": "warning--roadworks--g1",
        "DE:131": "warning--traffic-signals--g1",
        "DE:136": "warning--children--g1",
        "DE:142": "warning--wild-animals--g1",
        "DE:267": "regulatory--no-entry--g1",
        "DE:215": "regulatory--roundabout--g1",
        "DE:276": "regulatory--no-overtaking--g1",
        "DE:283": "regulatory--no-parking--g1",
        "DE:102": "warning--crossroads--g1",
        "DE:103": "warning--curve-left--g1",
        "DE:114": "warning--slippery-road-surface--g1",
        "DE:222": "regulatory--keep-right--g1",
        "DE:314": "information--parking--g1",
        "DE:237": "regulatory--bicycles-only--g1",
    }
    code = signal.code.split("-")[0]
    if code in by_code:
        return by_code[code]
    if "roadwork" in signal.id or "work" in signal.id:
        return "warning--roadworks--g9" if us else "warning--roadworks--g1"
    return "warning--other-danger--g3" if us else "warning--other-danger--g1"


def _limit_name(signal: Signal, region: str) -> str:
    """A speed limit -> its picture: the number written in its code where there is one, else its value in the unit."""
    plain = region in MPH_REGIONS
    written = re.search(r"[-_](\d{1,3})$", signal.code)
    factor = 2.23694 if plain else 3.6
    number = float(written.group(1)) if written else signal.value * factor if not math.isnan(signal.value) else 50.0
    style = r"regulatory--maximum-speed-limit-(\d+)--" + ("g[23]" if region == "US" else "g1")
    sizes = {int(m.group(1)): name for name in sign_names() if (m := re.fullmatch(style, name))}
    return sizes[min(sizes, key=lambda value: abs(value - number))]


def own_posts(road_map: RoadMap) -> dict[int, int]:
    """A map -> the pole among its objects that carries a signal, by index: those within half a metre of each other."""
    poles = [k for k, thing in enumerate(road_map.objects) if thing.kind == "pole"]
    if not poles or not road_map.signals:
        return {}
    places = np.stack([road_map.objects[k].xyz[:2] for k in poles])
    gap = np.linalg.norm(np.stack([s.xyz[:2] for s in road_map.signals])[:, None] - places, axis=-1)
    return {k: poles[int(row.argmin())] for k, row in enumerate(gap) if row.min() < POST_GAP_M}


def _post_behind(xyz: Float, signal: Signal, pole: MapObject, names: dict[str, int], half_m: float) -> Instances:
    """A face and the map's pole for it -> the pole, so far behind the face that it stands before no lens."""
    light = signal.kind in LIGHTS
    radius, behind = (0.07, 0.25) if light else (0.035, 0.05)
    at = xyz[:2] - behind * np.array([math.cos(signal.yaw_rad), math.sin(signal.yaw_rad)])
    foot = float(pole.xyz[2])
    top = max(float(xyz[2]) + half_m + 0.1, foot + (pole.size_lwh[2] if light else 0.0))
    return _single(names["pole"], (at[0], at[1], foot), 0.0, (radius, radius, top - foot))


def _posts(
    xyz: Float, signal: Signal, ground: Ground, floor: float, names: dict[str, int], half_m: float
) -> list[Instances]:
    """Where a face hangs -> its post: below it beside the road, else at the roadside with an arm over the road."""
    light = signal.kind in LIGHTS
    radius = 0.075 if light else 0.035
    back = np.array([math.cos(signal.yaw_rad), math.sin(signal.yaw_rad)]) * -(0.25 if light else 0.05)
    side = np.array([-math.sin(signal.yaw_rad), math.cos(signal.yaw_rad)])
    reach = np.concatenate([[0.0], np.repeat(np.arange(1.0, 17.0), 2) * np.tile([1.0, -1.0], 16)])
    places = xyz[:2] + back + reach[:, None] * side
    free = np.flatnonzero(ground.clearance(places) > (0.0 if not light else ROADSIDE_GAP_M))
    if not len(free) and not light:
        free = np.array([0])
    if not len(free):
        return []
    at = places[free[0]]
    foot = float(ground.height(at[None, :])[0])
    arm = abs(reach[free[0]]) > 0.4
    top = float(xyz[2]) + (half_m + 0.15 if not arm else 0.1)
    out = [
        _single(names["pole"], (at[0], at[1], foot - 0.05), 0.0, (radius * (1.4 if arm else 1.0),) * 2 + (top - foot,))
    ]
    if arm:
        span = xyz[:2] + back - at
        yaw = math.atan2(span[1], span[0])
        out.append(_single(names["arm"], (at[0], at[1], float(xyz[2])), yaw, (float(np.hypot(*span)), 0.06, 0.06)))
    return out


def _single(proto: int, xyz: tuple[float, float, float], yaw: float, scale: tuple[float, ...]) -> Instances:
    """One instance."""
    one = no_instances(1)
    one.proto[0] = proto
    one.xyz[0], one.scale[0] = xyz, scale
    one.axes[0] = yaw_axes(np.array([yaw]))[0]
    return one
