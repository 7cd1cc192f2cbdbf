"""Many worlds at once: states and the egos' commands in, states some ticks later out, in one compiled call.

All worlds share one map. A world is a row: its road users are MOVER records (worlds, agents + 1), the ego last; what
its ego does, and what has gone wrong, stands in further columns. The kernels are those of the single world, so that
the agents of a world in a batch are those of `Traffic.step`, byte for byte. Nothing is allocated while stepping.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cordillera.geometry import quat_from_euler, yaw_of
from cordillera.types import Agents, EgoState, Float, Int, Scenario
from cordillera.world.kernel import inner, kernel
from cordillera.world.lights import LightPlan, compile_lights, light_at
from cordillera.world.roads import Roads
from cordillera.world.roads_areas import is_box_drivable, is_box_drivable_near, is_side_drivable
from cordillera.world.roads_kernels import find_lane, lane_point, segment_at
from cordillera.world.roads_net import Net, Table
from cordillera.world.traffic import TICK_US, Traffic, TrafficConfig
from cordillera.world.traffic_bodies import hits
from cordillera.world.traffic_net import TrafficNet
from cordillera.world.traffic_state import VEHICLE, Scratch, agents_of, scratch_for
from cordillera.world.traffic_step import face_all, tick_world
from cordillera.world.vehicle import VehicleConfig, _parameters, _substeps

DT_S = 0.1
FLAT_M = 1e-9
SLACK_M = 0.3  # a corner so far beyond the drivable area is off the road
# columns of the egos: x, y of the rear axle, yaw, speeds forward and left, yaw rate, acceleration, curvature, height
X, Y, YAW, FORWARD, LEFT, YAW_RATE, ACCEL, CURVATURE, Z, PITCH = range(10)
# columns of the counts: ticks with a collision of the ego, pairs in collision, ego and others off the road, agent steps
EGO_HITS, HITS, EGO_OFF, OFF, STEPS = range(5)


class Batch(NamedTuple):
    """All that changes, world by world; copy the arrays to keep a state, put them back to go on from it."""

    movers: Table  # (W, A + 1) MOVER, the egos last
    egos: Float  # (W, 10)
    tick: Int  # (W,)
    counts: Int  # (W, 5) added up over all ticks

    def copy(self) -> Batch:
        """The same state in other memory: a branch."""
        return Batch(self.movers.copy(), self.egos.copy(), self.tick.copy(), self.counts.copy())


class Fixed(NamedTuple):
    """What never changes: one row a world."""

    seed: Int  # (W,)
    lights: Int  # (W, 5, S) period, start, green, amber, red-amber
    on_route: Int  # (W, L)
    ego_next: Int  # (W, L)
    knobs: Float  # (W, 12)
    vehicle: Float  # limits and parameters of the vehicle model, then its offset, see `_vehicle_row`


@dataclass(frozen=True, eq=False)
class Worlds:
    """Worlds of one map, compiled; holds no state."""

    roads: Roads
    fixed: Fixed
    traffic: tuple[Traffic, ...]
    config: VehicleConfig

    @classmethod
    def of(cls, roads: Roads, scenarios: list[Scenario], config: TrafficConfig | None = None) -> tuple[Worlds, Batch]:
        """Scenarios on one map with equally many agents -> their worlds, and the states they start from.

        Raises ValueError where the number of agents differs.
        """
        counts = {len(s.initial.agents.id) for s in scenarios}
        if len(counts) != 1:
            raise ValueError(f"scenarios of a batch have {sorted(counts)} agents; give all the same number")
        traffic = tuple(Traffic(roads, s.seed, s.route, s.vehicle, config or TrafficConfig()) for s in scenarios)
        plans = [compile_lights(roads.map, s.seed, s.region) for s in scenarios]
        vehicle = replace(VehicleConfig(), spec=scenarios[0].vehicle)
        fixed = Fixed(
            np.array([s.seed for s in scenarios], dtype=np.int64), np.array([_light_rows(p) for p in plans]),
            np.array([t.on_route for t in traffic]), np.array([t.ego_next for t in traffic]),
            np.array([t.knobs for t in traffic]), _vehicle_row(vehicle, float(np.ptp(roads.net.points["z"])) < FLAT_M),
        )  # fmt: skip
        states = [s.initial for s in scenarios]
        movers = np.stack([t.movers(s.agents, s.ego) for t, s in zip(traffic, states, strict=True)])
        tick = np.array([s.t_us // TICK_US for s in states], dtype=np.int64)
        egos = np.array([_ego_row(s.ego) for s in states])
        return cls(roads, fixed, traffic, vehicle), Batch(movers, egos, tick, np.zeros((len(states), 5), np.int64))

    def step(self, batch: Batch, controls: Float) -> None:
        """States, and commands (worlds, ticks, 2) of acceleration and curvature -> the states after them, in place."""
        count, ticks = controls.shape[:2]
        if count != len(batch.tick):
            raise ValueError(f"controls are for {count} worlds, the batch has {len(batch.tick)}")
        memory = scratch_for(len(self.roads.map.lanes), batch.movers.shape[1])
        signals = np.zeros((2, max(len(self.roads.map.signals), 1)), dtype=np.int64)
        boxes = np.zeros((6, batch.movers.shape[1]))
        step_worlds(
            self.roads.net, self.traffic[0].rules, batch, self.fixed, np.ascontiguousarray(controls, dtype=np.float64),
            ticks, memory, signals, boxes,
        )  # fmt: skip

    def agents(self, batch: Batch, world: int, before: Agents) -> Agents:
        """The agents of one world; `before` gives what never changes of them."""
        return agents_of(before, batch.movers[world])

    def ego(self, batch: Batch, world: int) -> EgoState:
        """The ego of one world."""
        x, y, yaw, forward, left, rate, accel, curvature, z, pitch = (float(v) for v in batch.egos[world])
        return EgoState(
            int(batch.tick[world]) * TICK_US, np.array([x, y, z]), quat_from_euler(0.0, pitch, yaw),
            np.array([forward, left, 0.0]), accel, curvature, rate,
        )  # fmt: skip


def _light_rows(plan: LightPlan) -> Int:
    """A plan -> (5, S), with one signal that is none where the map has no signals."""
    rows = np.array([plan.period_us, plan.start_us, plan.green_us, plan.amber_us, plan.red_amber_us], dtype=np.int64)
    return rows if rows.shape[1] else np.zeros((5, 1), dtype=np.int64)


def _ego_row(ego: EgoState) -> Float:
    """An ego state -> its row of the batch."""
    speeds = max(float(ego.velocity_mps[0]), 0.0), float(ego.velocity_mps[1])
    rest = ego.yaw_rate_radps, ego.accel_mps2, ego.curvature_1pm, float(ego.xyz[2]), 0.0
    return np.array([float(ego.xyz[0]), float(ego.xyz[1]), float(yaw_of(ego.quat_xyzw)), *speeds, *rest])


def _vehicle_row(config: VehicleConfig, level: bool) -> Float:
    """The vehicle -> bounds of acceleration, greatest curvature, offset of the centre, substeps, level, parameters."""
    grip = config.friction * 9.81
    least, most = max(config.accel_min_mps2, -grip), min(config.accel_max_mps2, grip)
    steps = max(1, math.ceil(DT_S / config.substep_s - 1e-9))
    head = [least, most, config.curvature_max_1pm, config.spec.rear_axle_to_center_m, float(steps), float(level)]
    return np.concatenate([head, _parameters(config)])


@kernel
def step_worlds(
    net: Net, rules: TrafficNet, batch: Batch, fixed: Fixed, controls: Float, ticks: int, memory: Scratch, signals: Int,
    boxes: Float,
) -> None:  # fmt: skip
    """Step every world some ticks on; `controls` (W, ticks, 2), `signals` (2, S): lights' states and times."""
    shown, phase = signals[0], signals[1]
    for w in range(len(batch.tick)):
        movers, lights = batch.movers[w], fixed.lights[w]
        for s in range(len(shown)):
            phase[s] = (batch.tick[w] * TICK_US - lights[1, s]) % max(lights[0, s], 1)
        for k in range(ticks):
            for s in range(len(shown)):
                shown[s] = light_at(lights[0, s], lights[2, s], lights[3, s], lights[4, s], phase[s])
                phase[s] += TICK_US
                while phase[s] >= lights[0, s] > 0:
                    phase[s] -= lights[0, s]
            tick_world(
                net, rules, movers, shown, fixed.on_route[w], fixed.ego_next[w], fixed.knobs[w], memory,
                fixed.seed[w], batch.tick[w], DT_S,
            )  # fmt: skip
            drive_ego(net, movers, batch.egos[w], fixed.vehicle, controls[w, k, 0], controls[w, k, 1])
            batch.tick[w] += 1
            judge(net, movers, batch.counts[w], boxes)
        face_all(movers)


@inner
def drive_ego(net: Net, movers: Table, ego: Float, vehicle: Float, accel: float, curvature: float) -> None:
    """Drive the ego by its command, put it on the road's height and pitch, and write its record."""
    accel = min(max(accel, vehicle[0]), vehicle[1])
    curvature = min(max(curvature, -vehicle[2]), vehicle[2])
    steps = int(vehicle[4])
    x, y, yaw, z = ego[X], ego[Y], ego[YAW], ego[Z]
    _substeps(ego[:8], accel, curvature, DT_S / steps, steps, vehicle[6:])
    me = movers[len(movers) - 1]
    stands = ego[X] == x and ego[Y] == y and ego[YAW] == yaw
    lane, s = -1, 0.0
    if vehicle[5] == 0.0 and not (stands and me.settled):  # a level map leaves height and pitch as they are
        lane, s, _, _ = find_lane(net, ego[X], ego[Y], ego[Z], ego[YAW], True, 15.0)
    if lane >= 0:
        x0, y0, z0, _ = lane_point(net, lane, s - 1.0)
        x1, y1, z1, _ = lane_point(net, lane, s + 1.0)
        _, _, ego[Z], yaw = lane_point(net, lane, s)
        rise = (z1 - z0) * math.cos(ego[YAW] - yaw)
        ego[PITCH] = -math.atan2(rise, max(math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2), 0.1))
    me.settled = int(ego[Z] == z)
    if not (stands and me.settled):
        me.placed, me.off = 0, -1
    me.x, me.y = ego[X] + vehicle[3] * math.cos(ego[YAW]), ego[Y] + vehicle[3] * math.sin(ego[YAW])
    me.z, me.yaw, me.speed, me.accel = ego[Z], ego[YAW], max(ego[FORWARD], 0.0), ego[ACCEL]


@kernel
def judge(net: Net, movers: Table, counts: Int, boxes: Float) -> None:
    """Count collisions and who is off the road. Vehicles within the borders of their lane are on it without a look."""
    n = len(movers)
    pairs = hits(movers, boxes)
    if pairs:
        counts[HITS] += pairs
        counts[EGO_HITS] += int(boxes[3, n - 1])
    for i in range(n):
        me = movers[i]
        counts[STEPS] += me.valid
        if not me.valid or me.role != VEHICLE:
            continue
        room = me.room_left if me.lateral > 0.0 else me.room_right
        if i < n - 1 and abs(me.lateral) + me.half_w <= room + SLACK_M:
            continue
        if me.off < 0 or (i < n - 1 and me.lane < 0):
            me.off = _is_off(net, me, i == n - 1)
        counts[OFF if i < n - 1 else EGO_OFF] += me.off


@inner
def _is_off(net: Net, me: Table, ego: bool) -> int:
    """Whether someone is off the road by more than the slack: on the side where he leaves his lane, the ego on all."""
    length, width = 2.0 * (me.half - SLACK_M), 2.0 * (me.half_w - SLACK_M)
    if not ego:
        side = 1.0 if me.lateral > 0.0 else -1.0
        yaw = math.atan2(me.head_y, me.head_x) if me.turned else me.yaw
        return int(not is_side_drivable(net, me.x, me.y, yaw, length, width, side))
    if me.lane < 0:
        return int(not is_box_drivable(net, me.x, me.y, me.yaw, length, width))
    segment, _ = segment_at(net, me.lane, me.s)
    return int(not is_box_drivable_near(net, me.x, me.y, me.yaw, length, width, me.lane, segment))
