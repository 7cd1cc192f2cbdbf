"""Recorded traffic: read as written, replayed exactly while the ego does as recorded, and reacting when it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cordillera.geometry import quat_from_yaw
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import Controls, EgoState, LightState, Scenario, SignalKind, WorldState, same
from cordillera.world.commonroad import light_scripts, read_commonroad, read_tracks, recording_path, recordings
from cordillera.world.maps import load_map
from cordillera.world.replay import FOLLOWS, TICK_US, Replay, recorded, recorded_scenario
from cordillera.world.roads import compile_map
from cordillera.world.world import World, colliding

US101 = "log:usa_us101-4_1_t-1"
LANKERSHIM = "log:usa_lanker-1_1_t-1"
PEACHTREE = "log:usa_peach-4_8_t-1"

TINY = """<commonRoad timeStepSize="0.1" benchmarkID="USA_Tiny-1_1_T-1">
  <lanelet id="1">
    <leftBound><point><x>0</x><y>2</y></point><point><x>100</x><y>2</y></point><lineMarking>solid</lineMarking></leftBound>
    <rightBound><point><x>0</x><y>-2</y></point><point><x>100</x><y>-2</y></point></rightBound>
    {extra}
  </lanelet>
  {obstacle}
</commonRoad>"""


def test_every_bundled_clip_reads_and_compiles():
    assert len(recordings()) == 5
    for name in recordings():
        road_map = load_map(f"log:{name}")
        assert compile_map(road_map).map is road_map
        assert len(recorded(recording_path(name))) >= 5
        scenario = recorded_scenario(f"log:{name}")
        assert scenario.duration_s >= 2.0
        assert colliding(scenario.initial, scenario) is None


def test_lanes_and_limits_as_written(tmp_path):
    path = tmp_path / "tiny.xml"
    path.write_text(TINY.format(extra="<speedLimit>13.5</speedLimit>", obstacle=""))
    lane = read_commonroad(path).lanes[0]
    assert lane.speed_limit_mps == 13.5
    assert lane.center_xyz[:, :2].tolist() == [[0.0, 0.0], [100.0, 0.0]]
    path.write_text(TINY.format(extra="", obstacle=""))
    assert "no speed limit" in load_map(path).assumptions[0]


def test_bad_files_are_named(tmp_path):
    path = tmp_path / "bad.xml"
    for text, fault in (
        ("<commonRoad", "not readable XML"),
        ("<osm/>", "root element is <osm>"),
        ("<commonRoad/>", "no lanelet"),
        (TINY.format(extra="", obstacle="").replace("<x>100</x><y>-2</y>", "<x>far</x><y>-2</y>"), "lanelet 1"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=fault) as error:
            read_commonroad(path)
        assert "bad.xml" in str(error.value)
    with pytest.raises(ValueError, match="no such file"):
        recording_path("log:nowhere")
    with pytest.raises(ValueError, match="these can"):
        recorded_scenario(US101, ego=10**6)


def test_lights_show_what_was_recorded():
    path = recording_path(PEACHTREE)
    road_map = read_commonroad(path)
    assert [signal.kind for signal in road_map.signals] == [SignalKind.TRAFFIC_LIGHT] * 4
    scripts = light_scripts(path, road_map, 6.0)
    # light 43918: offset 590 of a period of 1000 ticks, green 400, amber 30, red 570: at t = 0 it stands 410 ticks in
    first = [s for s in scripts if s.signals == (0,)]
    assert first[0].shows is LightState.AMBER
    assert first[0].until_s == pytest.approx(2.0)
    assert first[1].shows is LightState.RED
    world = World(recorded_scenario(PEACHTREE))
    state = world.reset()
    assert state.signals[0] == LightState.AMBER
    for _ in range(21):
        state = world.step(state, Controls(0.0, 0.0))
    assert state.signals[0] == LightState.RED


def ego_as_recorded(scenario: Scenario, tick: int) -> EgoState:
    """The ego where the vehicle that it replaces was."""
    track = next(t for t in recorded(recording_path(scenario.recording)) if t.id == scenario.recorded_ego)
    yaw, back = float(track.yaw_rad[tick]), scenario.vehicle.rear_axle_to_center_m
    xyz = track.xyz[tick] - back * np.array([np.cos(yaw), np.sin(yaw), 0.0])
    return EgoState(tick * TICK_US, xyz, quat_from_yaw(yaw), np.array([float(track.speed_mps[tick]), 0.0, 0.0]))


@pytest.mark.parametrize("name", [US101, LANKERSHIM])
def test_nobody_leaves_the_recording_while_the_ego_does_as_recorded(name):
    scenario = recorded_scenario(name, seed=1)
    roads = compile_map(load_map(name))
    replay = Replay(scenario, roads)
    state = scenario.initial
    for tick in range(1, round(scenario.duration_s * 10) - 1):
        after = replay.step(replace(state, ego=ego_as_recorded(scenario, tick - 1)), state.agents)
        state = WorldState(tick * TICK_US, state.ego, after, state.signals)
        for k, track in enumerate(replay.tracks):
            if track is not None and track.first <= tick < track.last:
                assert after.task[k] == FOLLOWS
                assert np.array_equal(after.xyz[k], track.xyz[tick - track.first])
                assert after.speed_mps[k] == track.speed_mps[tick - track.first]


def test_those_behind_react_when_the_ego_stops():
    """An ego that brakes to a stand on the motorway: those behind leave their recording, and nobody runs into it."""
    scenario = recorded_scenario("log:usa_us101-3_3_t-1", ego=363)
    world = World(scenario)
    state = world.reset()
    for _ in range(100):
        state = world.step(state, Controls(-3.0, 0.0))
        assert colliding(state, scenario) is None
    assert state.ego.speed_mps < 0.2
    freed = state.agents.valid & (state.agents.task != FOLLOWS)
    assert freed.any()


def test_a_replay_can_be_branched_and_goes_on_to_the_same_bytes():
    scenario = recorded_scenario(LANKERSHIM, seed=2)
    world = World(scenario)
    state = world.reset()
    for _ in range(15):
        state = world.step(state, Controls(-1.0, 0.0))
    one, other = state, state
    for _ in range(15):
        one = world.step(one, Controls(-1.0, 0.0))
    again = World(scenario)
    for _ in range(15):
        other = again.step(other, Controls(-1.0, 0.0))
    assert same(one, other)


def test_the_expert_drives_in_recorded_traffic():
    for name in (US101, LANKERSHIM, PEACHTREE):
        scenario = recorded_scenario(name, seed=0)
        rollout = roll_out(scenario, World(scenario), Observer(), SafeDriver(RuleExpert()))
        assert rollout.ended in ("duration", "arrived"), name


def test_smoothing_keeps_a_straight_drive(tmp_path):
    """A car at 10 m/s with noise of 0.2 m: its smoothed speed is within 0.5 m/s, its place within 0.2 m."""
    rng = np.random.default_rng(3)
    rows = []
    for tick in range(60):
        x, y = 1.0 * tick + 0.2 * rng.standard_normal(), 0.1 * rng.standard_normal()
        rows.append(
            f"<state><position><point><x>{x}</x><y>{y}</y></point></position><orientation><exact>0</exact></orientation>"
            f"<time><exact>{tick}</exact></time><velocity><exact>10</exact></velocity></state>"
        )
    first = rows[0].replace("<state>", "<initialState>").replace("</state>", "</initialState>")
    box = "<shape><rectangle><length>4</length><width>2</width></rectangle></shape>"
    obstacle = (
        f'<obstacle id="7"><role>dynamic</role><type>car</type>{box}{first}'
        f"<trajectory>{''.join(rows[1:])}</trajectory></obstacle>"
    )
    path = Path(tmp_path) / "noisy.xml"
    path.write_text(TINY.format(extra="", obstacle=obstacle))
    (track,), dt = read_tracks(path)
    assert (track.id, dt, len(track.tick)) == (7, 0.1, 60)
    (smooth,) = recorded(path)
    middle = slice(6, -6)
    assert np.abs(smooth.speed_mps[middle] - 10.0).max() < 1.5
    assert np.abs(smooth.speed_mps[middle] - 10.0).mean() < 0.5
    assert np.abs(smooth.xyz[middle, 0] - np.arange(60)[middle]).max() < 0.3
