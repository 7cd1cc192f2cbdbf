"""Safety margins: a rollout in, how near it came to others, and how soon it would have hit them, out."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from cordillera.evaluate.metrics_track import Track, box_gap, result, track_of
from cordillera.types import AgentKind, Bool, Float, MetricResult, Rollout

TTC_HORIZON_S = 3.0
CLOSE_M, CLOSE_TO_PEOPLE_M = 0.3, 0.8
CLOSE_MPS = 2.0  # relative speed from which on being so near counts
PEOPLE = (AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR, AgentKind.BICYCLE, AgentKind.MOTORCYCLE)


def collisions(rollout: Rollout) -> MetricResult:
    """How many different agents the ego's box touched, whoever is at fault."""
    return result("collisions", int(track_of(rollout).contact.any(axis=0).sum()), "", "lower")


def time_to_collision(rollout: Rollout) -> MetricResult:
    """The shortest time to collision of any state: boxes at constant velocity and heading, agents not behind the ego.

    Looks 3 s ahead in steps of 0.1 s; not valid where nothing would be hit within that.
    """
    best = float(soonest(track_of(rollout)).min())
    return result("time to collision", best if math.isfinite(best) else math.nan, "s", "higher")


def min_gap(rollout: Rollout) -> MetricResult:
    """The smallest distance between the ego's box and another's while either moved; not valid beyond 10 m."""
    track = track_of(rollout)
    moving = (np.abs(track.speed)[:, None] > 0.5) | (np.abs(track.pace) > 0.5)
    gap = np.where(moving, track.gap, np.inf)
    best = float(gap.min()) if gap.size else math.inf
    return result("smallest gap", best if math.isfinite(best) else math.nan, "m", "higher")


def close_encounters(rollout: Rollout) -> MetricResult:
    """How many agents came within 0.3 m, people and two-wheelers within 0.8 m, at a relative speed above 2 m/s."""
    track = track_of(rollout)
    limit = np.where(np.isin(track.kind, PEOPLE), CLOSE_TO_PEOPLE_M, CLOSE_M)
    heading = track.pose[:, :, 2]
    apart_x = track.pace * np.cos(heading) - (track.speed * np.cos(track.yaw))[:, None]
    apart_y = track.pace * np.sin(heading) - (track.speed * np.sin(track.yaw))[:, None]
    close = (track.gap < limit) & (np.hypot(apart_x, apart_y) > CLOSE_MPS)
    return result("close encounters", int(close.any(axis=0).sum()), "", "lower")


# ------------------------------------------------------------ time to collision


def soonest(track: Track, horizon_s: float = TTC_HORIZON_S) -> Float:
    """A track -> each state's time to collision (N,): the least of `each_soonest`, inf where nothing would be hit."""
    each = each_soonest(track, horizon_s)
    return each.min(axis=1) if each.shape[1] else np.full(len(track.x), np.inf)


def each_soonest(track: Track, horizon_s: float = TTC_HORIZON_S) -> Float:
    """A track -> time until each box would be hit (N, A), at constant velocities; inf beyond the horizon.

    An agent whose centre is behind the ego's rear bumper is none that the ego would hit.
    """
    return _soonest(
        track.ego, track.pose, track.pace, track.size, track.there, track.length_m, track.width_m,
        round(horizon_s / 0.1),
    )  # fmt: skip


def ego_hit_by(track: Track, horizon_s: float = TTC_HORIZON_S) -> Float:
    """A track -> time until each agent, going on, would drive into the ego ahead of it (N, A); inf if never."""
    count = track.there.shape[1]
    out = np.full(track.there.shape, np.inf)
    for a in range(count):  # with the roles exchanged
        ego = np.column_stack([track.pose[:, a], track.pace[:, a]])
        pose = np.ascontiguousarray(track.ego[:, None, :3])
        size = np.array([[track.length_m, track.width_m, 0.0]])
        there = np.ascontiguousarray(track.there[:, a : a + 1])
        length, width = float(track.size[a, 0]), float(track.size[a, 1])
        steps = round(horizon_s / 0.1)
        out[:, a] = _soonest(ego, pose, track.speed[:, None].copy(), size, there, length, width, steps)[:, 0]
    return out


@njit(cache=True)
def _soonest(
    ego: Float, pose: Float, pace: Float, size: Float, there: Bool, length: float, width: float, steps: int
) -> Float:
    """Ego (N, 4), agents (N, A, ...) -> the first time at which boxes overlap (N, A), or inf."""
    out = np.full(there.shape, np.inf)
    for k in range(there.shape[0]):
        cos, sin = math.cos(ego[k, 2]), math.sin(ego[k, 2])
        for a in range(there.shape[1]):
            dx, dy = pose[k, a, 0] - ego[k, 0], pose[k, a, 1] - ego[k, 1]
            if not there[k, a] or dx * cos + dy * sin <= -0.5 * length:
                continue
            their_x, their_y = pace[k, a] * math.cos(pose[k, a, 2]), pace[k, a] * math.sin(pose[k, a, 2])
            vx, vy = their_x - ego[k, 3] * cos, their_y - ego[k, 3] * sin
            closing = math.sqrt(vx * vx + vy * vy)
            radius = 0.5 * (math.hypot(length, width) + math.hypot(size[a, 0], size[a, 1]))
            step = 0
            while step <= steps:
                t = 0.1 * step
                apart = math.hypot(dx + vx * t, dy + vy * t)
                if apart > radius:  # no contact before the circles around the boxes meet
                    if closing < 1e-6:
                        break
                    step += max(1, int((apart - radius) / closing / 0.1))
                    continue
                if (
                    box_gap(
                        0.0, 0.0, ego[k, 2], length, width,
                        dx + vx * t, dy + vy * t, pose[k, a, 2], size[a, 0], size[a, 1],
                    )
                    <= 0.0
                ):  # fmt: skip
                    out[k, a] = t
                    break
                step += 1
    return out
