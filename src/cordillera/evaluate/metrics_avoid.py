"""Could a collision have been avoided: a track and a contact in, what braking after a reaction time changes, out.

The danger is evident from the first state on, in sight and without a break up to the contact, in which the driven path
meets the other one if that goes on as it does at that moment, or in which the ego would be where it is within 1 s. A
second later (the reaction) the ego brakes with 6 m/s2 along its own path, while the other does what it did. Fog,
darkness and the view of the cameras do not count here.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from cordillera.evaluate.metrics_track import DT_S, Track, box_gap
from cordillera.geometry import arc_length, box_corners
from cordillera.types import Bool, Float, RoadMap

REACTION_S = 1.0
BRAKE_MPS2 = 6.0
FORESEE_S = 4.0  # of what moves
HEADWAY_S = 1.0  # who is so near on one's path is a danger, however fast
FORESEE_STANDING_S = 8.0
STANDING_MPS = 0.5
MARGIN_M = 0.2  # so near counts as meeting
BREAK_STATES = 3  # a danger may seem over for so long
COVER_M = 1.2  # what is lower hides nothing
EYE_M = 0.5  # ahead of the centre of the box
JUMP_MPS = 15.0  # more than that beside its speed is no motion but an appearance
OPAQUE = ("building", "house", "wall", "barrier")
VIEW_M = 120.0


def avoidable(track: Track, road_map: RoadMap, k: int, column: int) -> bool:
    """Whether the ego, in contact with an agent (by column) in state k, could have stood or been clear by braking."""
    seen = evident_from(track, road_map, k, column)
    start = seen + round(REACTION_S / DT_S)
    if start >= k:
        return False
    path = np.column_stack([track.x, track.y, track.yaw])[start : k + 1]
    braked = np.minimum(track.accel[start : k + 1], -BRAKE_MPS2)
    pose, pace = track.pose[start:, column], track.pace[start:, column]
    there = track.there[start:, column]
    last = int(np.flatnonzero(there)[-1]) if there.any() else 0
    return bool(
        _clears(
            path, arc_length(np.ascontiguousarray(path[:, :2])), braked, max(float(track.speed[start]), 0.0),
            pose[: last + 1], pace[: last + 1], track.size[column], track.length_m, track.width_m,
        )
    )  # fmt: skip


def evident_from(track: Track, road_map: RoadMap, k: int, column: int) -> int:
    """The first state from which on the danger was evident up to the contact in state k; k itself if never before."""
    span = slice(0, k + 1)
    meets = _meets(
        track.ego[span], track.pose[span, column], _velocity(track, column)[span], track.there[span, column],
        track.size[column], track.length_m, track.width_m,
    )  # fmt: skip
    start = quiet = 0
    for i in range(k, -1, -1):
        if meets[i]:
            start, quiet = i, 0
        else:
            quiet += 1
            if i == k:
                start = k
            if quiet > BREAK_STATES:
                break
    walls = _walls(road_map, track, k)
    for i in range(start, k):
        if in_sight(track, i, column, walls):
            return i
    return k


def _velocity(track: Track, column: int) -> Float:
    """An agent's velocity (N, 2) as it is seen, from its places: who moves aside need not head there."""
    xy, there, yaw = track.pose[:, column, :2], track.there[:, column], track.pose[:, column, 2]
    velocity = track.pace[:, column, None] * np.column_stack([np.cos(yaw), np.sin(yaw)])
    seen = np.diff(xy, axis=0) / DT_S
    known = there[1:] & there[:-1] & (np.hypot(seen[:, 0], seen[:, 1]) < np.abs(track.pace[1:, column]) + JUMP_MPS)
    velocity[1:][known] = seen[known]
    return velocity


def in_sight(track: Track, k: int, column: int, walls: Float) -> bool:
    """Whether a straight line from the ego to the centre or a corner of an agent passes no other tall box or wall."""
    eye_x = float(track.x[k] + EYE_M * math.cos(track.yaw[k]))
    eye_y = float(track.y[k] + EYE_M * math.sin(track.yaw[k]))
    x, y, yaw = track.pose[k, column]
    if math.hypot(x - eye_x, y - eye_y) > VIEW_M:
        return False
    corners = box_corners(float(x), float(y), float(yaw), float(track.size[column, 0]), float(track.size[column, 1]))
    tall = track.there[k] & (track.size[:, 2] > COVER_M)
    tall[column] = False
    covers = np.concatenate([np.column_stack([track.pose[k, tall], track.size[tall, :2]]), walls])
    targets = np.concatenate([[[x, y]], corners])
    return bool(_sees(eye_x, eye_y, targets, covers))


def _walls(road_map: RoadMap, track: Track, k: int) -> Float:
    """Opaque objects of the map near the ego -> boxes (M, 5): x, y, yaw, length, width."""
    rows = []
    for item in road_map.objects:
        if item.kind not in OPAQUE or item.size_lwh[2] < COVER_M:
            continue
        if math.hypot(item.xyz[0] - track.x[k], item.xyz[1] - track.y[k]) < VIEW_M:
            rows.append((item.xyz[0], item.xyz[1], item.yaw_rad, item.size_lwh[0], item.size_lwh[1]))
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


# --------------------------------------------------------------------- kernels


@njit(cache=True)
def _meets(ego: Float, pose: Float, velocity: Float, there: Bool, size: Float, length: float, width: float) -> Bool:
    """Ego (N, 4), one agent (N, 3), (N, 2) -> mask (N,): going on as it does, the agent meets the path driven after."""
    count = len(ego)
    out = np.zeros(count, dtype=np.bool_)
    for k in range(count):
        if not there[k]:
            continue
        vx, vy = velocity[k, 0], velocity[k, 1]
        horizon = FORESEE_STANDING_S if math.hypot(vx, vy) < STANDING_MPS else FORESEE_S
        for j in range(k, min(count, k + int(horizon / DT_S) + 1)):
            t = (j - k) * DT_S
            gap = box_gap(
                ego[j, 0], ego[j, 1], ego[j, 2], length, width,
                pose[k, 0] + vx * t, pose[k, 1] + vy * t, pose[k, 2], size[0], size[1],
            )  # fmt: skip
            if t <= HEADWAY_S:
                here = box_gap(
                    ego[j, 0], ego[j, 1], ego[j, 2], length, width, pose[k, 0], pose[k, 1], pose[k, 2], size[0], size[1]
                )
                gap = min(gap, here)
            if gap <= MARGIN_M:
                out[k] = True
                break
    return out


@njit(cache=True)
def _clears(
    path: Float, along: Float, accel: Float, speed: float,
    pose: Float, pace: Float, size: Float, length: float, width: float,
) -> bool:  # fmt: skip
    """Driven path (P, 3) and its arc lengths, accelerations (P,), agent (Q, 3), (Q,) -> no contact before a stand."""
    s, v, k = 0.0, speed, 0
    while v > 0.0:
        a = accel[k] if k < len(accel) else -BRAKE_MPS2
        after = max(v + a * DT_S, 0.0)
        s += 0.5 * (v + after) * DT_S
        v = after
        k += 1
        if v == 0.0:
            return True
        i = 0
        while i + 2 < len(along) and along[i + 1] < s:
            i += 1
        span = along[i + 1] - along[i] if len(along) > 1 else 0.0
        t = min((s - along[i]) / span, 1.0) if span > 0.0 else 1.0
        j = min(i + 1, len(along) - 1)
        x = path[i, 0] + t * (path[j, 0] - path[i, 0])
        y = path[i, 1] + t * (path[j, 1] - path[i, 1])
        yaw = path[i, 2] + t * (path[j, 2] - path[i, 2])
        seen = min(k, len(pose) - 1)
        on = (k - seen) * DT_S * pace[seen]
        gap = box_gap(
            x, y, yaw, length, width,
            pose[seen, 0] + on * math.cos(pose[seen, 2]), pose[seen, 1] + on * math.sin(pose[seen, 2]), pose[seen, 2],
            size[0], size[1],
        )  # fmt: skip
        if gap <= 0.0:
            return False
    return True


@njit(cache=True)
def _sees(eye_x: float, eye_y: float, targets: Float, covers: Float) -> bool:
    """Eye, points (M, 2), boxes (K, 5) -> whether some point is seen past all boxes (slab test in each box's frame)."""
    for m in range(len(targets)):
        free = True
        for b in range(len(covers)):
            c, s = math.cos(covers[b, 2]), math.sin(covers[b, 2])
            dx, dy = eye_x - covers[b, 0], eye_y - covers[b, 1]
            ox, oy = dx * c + dy * s, dy * c - dx * s
            tx, ty = targets[m, 0] - eye_x, targets[m, 1] - eye_y
            rx, ry = tx * c + ty * s, ty * c - tx * s
            low, high = 0.0, 0.999
            for o, r, half in ((ox, rx, 0.5 * covers[b, 3]), (oy, ry, 0.5 * covers[b, 4])):
                if abs(r) < 1e-9:
                    if abs(o) > half:
                        high = -1.0
                else:
                    t0, t1 = (-half - o) / r, (half - o) / r
                    low, high = max(low, min(t0, t1)), min(high, max(t0, t1))
            if low < high:
                free = False
                break
        if free:
            return True
    return False
