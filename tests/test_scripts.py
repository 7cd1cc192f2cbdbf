"""Scripted agents and lights: analytic motion, triggers, heed, and a state that is complete."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cordillera.data.rollouts import read_rollout, write_rollout
from cordillera.geometry import quat_from_yaw
from cordillera.loop import roll_out
from cordillera.policy.baselines import ConstantVelocity
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import (
    AgentKind,
    Agents,
    Controls,
    EgoState,
    Gesture,
    Heed,
    LightScript,
    LightState,
    Phase,
    Scenario,
    Script,
    Trigger,
    When,
    WorldState,
    same,
)  # fmt: skip
from cordillera.world.maps import load_map
from cordillera.world.roads import LanePosition, compile_map
from cordillera.world.scripts import SCRIPTED, start_row
from cordillera.world.world import World, colliding, empty_agents

ROAD = "built:straight,length=400"
SIZE = {AgentKind.PEDESTRIAN: (0.5, 0.6, 1.7), AgentKind.BALL: (0.25, 0.25, 0.25)}


def scene(
    *scripts: Script, kind: AgentKind = AgentKind.CAR, speed: float = 0.0, at_m: float = 0.0, lights=()
) -> Scenario:
    """400 m of straight road: the ego at 20 m drives along +x; each script's agent starts at `at_m` with `speed`."""
    roads = compile_map(load_map(ROAD))
    lane = roads.nearest(20.0, -1.75, 0.0)
    assert lane is not None
    route = roads.route(LanePosition(lane.lane, 20.0, 0.0), lane.lane, 380.0)
    rows = [start_row(script, at_m, speed) for script in scripts]
    count = len(scripts)
    columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    size = np.tile(SIZE.get(kind, (4.5, 1.8, 1.5)), (count, 1))
    ids = np.array([s.agent for s in scripts], dtype=np.int64)
    agents = Agents(id=ids, kind=np.full(count, kind), size_lwh=size, **columns)
    ego = EgoState(0, route.xyz[0].copy(), quat_from_yaw(0.0), np.array([10.0, 0.0, 0.0]))
    state = WorldState(0, ego, agents, np.zeros(len(roads.map.signals), dtype=np.int64))
    return Scenario("t", 1, "DE", ROAD, "", state, route, 20.0, scripts=scripts, light_scripts=lights)


def run(scenario: Scenario, steps: int, accel: float = 0.0) -> list[WorldState]:
    world = World(scenario)
    states = [world.reset()]
    for _ in range(steps):
        states.append(world.step(states[-1], Controls(accel, 0.0)))
    return states


def along(y: float = 1.75, x0: float = 100.0, x1: float = 300.0) -> np.ndarray:
    return np.array([[x0, y, 0.0], [x1, y, 0.0]])


def test_constant_acceleration_covers_the_distance_of_the_formula():
    states = run(scene(Script(7, along(), (Phase(speed_mps=10.0, accel_mps2=2.0),))), 30)
    agents = states[-1].agents
    assert agents.xyz[0, 0] == pytest.approx(100.0 + 0.5 * 2.0 * 3.0**2, abs=1e-6)
    assert agents.speed_mps[0] == pytest.approx(6.0) and agents.lane[0] == -1 and agents.task[0] == SCRIPTED


def test_it_comes_to_a_stand_where_it_is_told_to_and_at_the_end_of_its_line():
    stop = Phase(speed_mps=8.0, stop_at_m=60.0)
    for script, place in (
        (Script(1, along(), (stop,)), 160.0),
        (Script(1, along(x1=150.0), (Phase(speed_mps=8.0),)), 150.0),
    ):
        agents = run(scene(script, speed=8.0), 200)[-1].agents
        assert agents.xyz[0, 0] == pytest.approx(place, abs=0.3) and agents.speed_mps[0] == 0.0 and agents.valid[0]


def test_who_vanishes_at_the_end_is_gone():
    agents = run(scene(Script(1, along(x1=120.0), (Phase(speed_mps=8.0),), at_end="vanish"), speed=8.0), 60)[-1].agents
    assert not agents.valid[0]


@pytest.mark.parametrize(
    ("trigger", "first_s"),
    [
        (Trigger(When.TIME, 2.0), 2.0),
        (Trigger(When.AFTER, 1.5), 1.5),
        (Trigger(When.EGO_NEAR, 30.0, at_m=100.0), (100.0 - 30.0 - 1.43 - 0.5 * 4.87) / 10.0),
        (Trigger(When.EGO_DUE, 2.0, at_m=100.0), (100.0 - 20.0 - 1.43 - 0.5 * 4.87) / 10.0),
    ],
)
def test_a_trigger_fires_when_it_says(trigger: Trigger, first_s: float):
    walk = Script(3, along(), (Phase(visible=False), Phase(trigger, speed_mps=1.0, accel_mps2=9.0)))
    states = run(scene(walk, kind=AgentKind.PEDESTRIAN), 90)
    seen = [k for k, state in enumerate(states) if state.agents.valid[0]]
    assert seen[0] * 0.1 == pytest.approx(first_s + 0.1, abs=0.15)
    assert seen == list(range(seen[0], 91))


def test_triggers_on_places_standing_and_on_others():
    first = Script(
        1, along(), (Phase(speed_mps=5.0), Phase(Trigger(When.REACHED, 20.0)), Phase(Trigger(When.STOOD, 1.0), 4.0))
    )
    second = Script(2, along(y=-20.0), (Phase(), Phase(Trigger(When.PHASE_OF, 2, other=1), 3.0)))
    states = run(scene(first, second, speed=0.0), 140)
    stands = [k for k, s in enumerate(states) if k > 5 and s.agents.speed_mps[0] == 0.0]
    assert states[stands[0]].agents.xyz[0, 0] > 120.0
    assert len(stands) * 0.1 == pytest.approx(1.0, abs=0.25)
    moves = next(k for k, s in enumerate(states) if s.agents.speed_mps[1] > 0.0)
    assert moves >= stands[-1]


def test_it_moves_aside_and_only_while_it_rolls():
    script = Script(1, along(), (Phase(speed_mps=10.0), Phase(Trigger(When.TIME, 1.0), speed_mps=10.0, aside_m=-3.5)))
    states = run(scene(script, speed=10.0), 80)
    lateral = np.array([s.agents.xyz[0, 1] - 1.75 for s in states])
    assert lateral[-1] == pytest.approx(-3.5, abs=0.02) and np.abs(np.diff(lateral)).max() <= 0.12 + 1e-9
    still = Script(1, along(), (Phase(aside_m=0.0), Phase(Trigger(When.TIME, 1.0), speed_mps=0.0, aside_m=2.0)))
    assert run(scene(still), 40)[-1].agents.xyz[0, 1] == pytest.approx(1.75)


def test_it_keeps_the_pace_of_the_ego():
    script = Script(1, along(x0=0.0, x1=390.0), (Phase(speed_mps=30.0, pace_m=12.0, accel_mps2=4.0),))
    states = run(scene(script, speed=10.0, at_m=20.0), 100)
    assert states[-1].agents.xyz[0, 0] - states[-1].ego.xyz[0] - 1.43 == pytest.approx(12.0, abs=0.5)


@pytest.mark.parametrize(("heeds", "struck"), [(Heed.NOBODY, True), (Heed.EGO, False)])
def test_who_heeds_the_ego_waits_for_it_to_pass(heeds: Heed, struck: bool):
    across = np.array([[80.0, -9.0, 0.0], [80.0, 6.0, 0.0]])
    walk = Script(1, across, (Phase(), Phase(Trigger(When.EGO_DUE, 3.6, 60.0), 1.6, heeds=heeds, accel_mps2=3.0)))
    scenario = scene(walk, kind=AgentKind.PEDESTRIAN)
    states = run(scenario, 150)
    assert any(colliding(state, scenario) is not None for state in states) == struck
    assert states[-1].agents.xyz[0, 1] > 5.0  # it crossed in the end


def test_it_brakes_behind_others_whom_it_heeds():
    slow = Script(1, along(x0=150.0), (Phase(speed_mps=3.0),))
    fast = Script(2, along(x0=100.0), (Phase(speed_mps=15.0, heeds=Heed.EVERYONE),))
    states = run(scene(slow, fast), 150)
    gaps = [s.agents.xyz[0, 0] - s.agents.xyz[1, 0] - 4.5 for s in states]
    assert min(gaps) > 1.0 and gaps[-1] < 20.0


def test_a_reversing_vehicle_heads_against_its_line():
    agents = run(scene(Script(1, along(), (Phase(speed_mps=2.0),), backwards=True)), 20)[-1].agents
    assert agents.xyz[0, 0] > 101.0 and agents.speed_mps[0] < 0.0
    assert abs(agents.yaw_rad[0]) == pytest.approx(np.pi)


def test_gestures_and_blinkers_show():
    script = Script(
        1, along(), (Phase(shows=Gesture.STOP, blinker=2), Phase(Trigger(When.TIME, 1.0), shows=Gesture.GO))
    )
    states = run(scene(script, kind=AgentKind.POLICE_OFFICER), 20)
    assert states[5].agents.shows[0] == Gesture.STOP and states[5].agents.blinker[0] == 2
    assert states[-1].agents.shows[0] == Gesture.GO and states[-1].agents.kind[0] == AgentKind.POLICE_OFFICER


def test_the_state_is_complete_so_a_branch_continues_alike():
    script = Script(
        1, along(x0=0.0, x1=390.0),
        (Phase(speed_mps=9.0, pace_m=12.0), Phase(Trigger(When.EGO_NEAR, 40.0, 120.0), 9.0, aside_m=-3.5),
         Phase(Trigger(When.AFTER, 2.0), 0.0, brake_mps2=6.0), Phase(Trigger(When.STOOD, 2.0), 8.0)),
    )  # fmt: skip
    scenario = scene(script, speed=9.0, at_m=30.0)
    states = run(scenario, 160)
    assert len({int(s.agents.task[0]) for s in states}) == 4
    for k in (20, 77, 120):
        world = World(scenario)
        state = replace(states[k])
        for after in states[k + 1 : k + 31]:
            state = world.step(state, Controls(0.0, 0.0))
            assert same(state, after)


def test_a_ball_and_a_slow_pothole_are_no_collision():
    scenario = scene(Script(1, along(y=-1.75, x0=21.0), (Phase(),)), kind=AgentKind.BALL)
    assert colliding(scenario.initial, scenario) is None
    for kind, speed, struck in (
        (AgentKind.POTHOLE, 4.0, False),
        (AgentKind.POTHOLE, 9.0, True),
        (AgentKind.CAR, 0.0, True),
    ):
        agents = replace(scenario.initial.agents, kind=np.array([int(kind)]))
        ego = replace(scenario.initial.ego, velocity_mps=np.array([speed, 0.0, 0.0]))
        state = replace(scenario.initial, agents=agents, ego=ego)
        assert (colliding(state, scenario) is not None) == struck


def test_lights_go_dark_stick_and_run_late():
    road_map = load_map("built:four_way")
    world_of = World(_lit(()))
    light = next(i for i, s in enumerate(road_map.signals) if s.kind == "traffic_light")
    plan = world_of.lights
    scripts = (
        LightScript((light,), LightState.OFF, until_s=1.0),
        LightScript((light,), LightState.FLASHING_AMBER, from_s=1.0, until_s=2.0),
        LightScript((light,), None, late_s=4.0, from_s=2.0),
    )
    world = World(_lit(scripts))
    state = world.reset()
    for k in range(1, 80):
        state = world.step(state, Controls(-3.0, 0.0))
        t_us = k * 100_000
        wanted = 0 if k < 10 else LightState.FLASHING_AMBER if k < 20 else plan.states(t_us - 4_000_000)[light]
        assert state.signals[light] == wanted
        others = [i for i in range(len(road_map.signals)) if i != light]
        assert (state.signals[others] == plan.states(t_us)[others]).all()


def _lit(scripts: tuple[LightScript, ...]) -> Scenario:
    base = scene(Script(1, along(x0=-300.0, x1=-290.0), (Phase(visible=False),)))
    roads = compile_map(load_map("built:four_way"))
    start = roads.nearest(-80.0, -1.75, 0.0)
    assert start is not None
    route = roads.wander(start, 100.0, 1)
    ego = replace(base.initial.ego, xyz=route.xyz[0].copy())
    state = WorldState(0, ego, empty_agents(), np.zeros(len(roads.map.signals), dtype=np.int64))
    return replace(base, map="built:four_way", scripts=(), initial=state, route=route, light_scripts=scripts)


def test_scripts_survive_the_rollout_file(tmp_path: Path):
    script = Script(1, along(), (Phase(), Phase(Trigger(When.EGO_DUE, 3.0, 40.0), 2.0, heeds=Heed.EVERYONE)))
    lights = (LightScript((), LightState.OFF), LightScript((), None, late_s=2.0))
    scenario = replace(scene(script, lights=lights), family="some family", duration_s=1.0)
    rollout = roll_out(scenario, World(scenario), Observer(), SafeDriver(ConstantVelocity()))
    write_rollout(rollout, tmp_path / "r.npz")
    back = read_rollout(tmp_path / "r.npz")
    assert same(back, rollout) and back.scenario.family == "some family"
    assert back.scenario.scripts[0].phases[1].trigger.when is When.EGO_DUE


def test_a_script_without_its_agent_is_refused():
    scenario = scene(Script(1, along(), (Phase(),)))
    with pytest.raises(ValueError, match="agent 2"):
        World(replace(scenario, scripts=(replace(scenario.scripts[0], agent=2),)))
