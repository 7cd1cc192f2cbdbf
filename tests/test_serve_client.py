"""A driver behind an address drives as the same driver in this process: step by step, and by the verbs."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("grpc")

from cordillera.cli import main
from cordillera.data.rollouts import read_rollout
from cordillera.loop import roll_out
from cordillera.policy.baselines import ConstantVelocity, RouteFollower
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.rig import rig
from cordillera.serve.channel import Endpoint
from cordillera.serve.client import RemoteConfig, RemoteDriver, rig_plan
from cordillera.serve.driver_service import DriverService, ServiceConfig
from cordillera.serve.server import Background, ServerConfig
from cordillera.serve.sessions import SessionLimits
from cordillera.serve.wire.services import DRIVER
from cordillera.types import EgoState, Observation, Route, Trajectory, same
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World
from tests.serve_fixtures import FRONT, SeeingPolicy, served, serving

FLOAT32_M = 2e-4  # a float32 coordinate some hundred metres from the origin is as exact as that


def seen(step: int = 0, cameras=(FRONT,), seed: int = 0) -> Observation:
    """The window at a step of a gentle bend at 8 m/s, far from the local origin; frames depend on their stamp alone."""
    now = 3_000_000 + 100_000 * step
    past = -np.arange(15, -1, -1)
    stamps = now + 100_000 * past
    arc = 0.8 * past
    yaw = 0.01 * arc
    xyz = np.stack([np.sin(yaw) / 0.01, (1.0 - np.cos(yaw)) / 0.01, np.zeros(16)], axis=-1)
    quat = np.stack([np.zeros(16), np.zeros(16), np.sin(yaw / 2), np.cos(yaw / 2)], axis=-1)
    heading = 0.01 * 0.8 * step + 0.4
    at = np.array([300.0 + 100 * np.sin(0.008 * step + 0.4), -200.0 - 100 * np.cos(0.008 * step + 0.4), 5.0])
    ego = EgoState(
        now, at, np.array([0, 0, np.sin(heading / 2), np.cos(heading / 2)]), np.array([8.0, 0.0, 0.0]), 0.3, 0.01, 0.08
    )
    images = tuple(
        np.stack([np.random.default_rng([seed, int(t)]).integers(0, 256, (c.height, c.width, 3), np.uint8)
                  for t in stamps[-4:]])
        for c in cameras
    )  # fmt: skip
    s = np.arange(0.0, 150.0, 2.0)
    line = np.stack([np.sin(0.01 * s) / 0.01, (1.0 - np.cos(0.01 * s)) / 0.01, 0.0 * s], axis=-1)
    route = Route(line, "left", "Turn left in 30 m", "rig")
    return Observation(
        now, cameras, images, tuple(stamps[-4:] for _ in cameras), Trajectory(stamps, xyz, quat, "rig"), ego, route
    )


class Watching(SeeingPolicy):
    """Keeps what it is shown."""

    shown: list[Observation] = []  # noqa: RUF012 - one list for all, that is the point

    def decide(self, observation):
        self.shown.append(observation)
        return super().decide(observation)


@pytest.fixture
def shown():
    Watching.shown.clear()
    return Watching.shown


def test_the_policy_behind_the_wire_is_shown_what_we_sense(shown):
    """All of it: pictures and stamps to the bit, states and route to float32."""
    with serving(served(Watching, (FRONT,))) as address:
        remote = RemoteDriver(address)
        for step in range(3):
            remote.decide(seen(step))
        remote.close()
    assert len(shown) == 3
    for step, there in enumerate(shown):
        here = seen(step)
        assert there.t_us == here.t_us + 1_000_000_000
        assert np.array_equal(there.images[0], here.images[0])
        assert np.array_equal(there.image_t_us[0], here.image_t_us[0] + 1_000_000_000)
        assert_allclose(there.ego_history.xyz, here.ego_history.xyz, atol=FLOAT32_M)
        assert_allclose(there.ego_history.quat_xyzw, here.ego_history.quat_xyzw, atol=1e-6)
        assert_allclose(there.ego.xyz, here.ego.xyz, atol=FLOAT32_M)
        assert_allclose(there.ego.velocity_mps, here.ego.velocity_mps, atol=1e-6)
        assert there.ego.accel_mps2 == pytest.approx(0.3, abs=1e-6)
        assert there.ego.curvature_1pm == 0.01 and there.ego.yaw_rate_radps == pytest.approx(0.08, abs=1e-6)
        assert_allclose(there.route.xyz, here.route.xyz, atol=1e-4)
        assert (there.route.command, there.route.text) == ("left", "Turn left in 30 m")
        assert same(there.cameras, here.cameras)


def test_the_plan_comes_back_as_it_was_made():
    with serving(served(SeeingPolicy, (FRONT,))) as address:
        remote = RemoteDriver(address, RemoteConfig(seed=5))
        for step in range(3):
            ours, theirs = SeeingPolicy(5).decide(seen(step)), remote.decide(seen(step))
            assert np.array_equal(theirs.trajectory.t_us, ours.trajectory.t_us)
            assert_allclose(theirs.trajectory.xyz, ours.trajectory.xyz, atol=FLOAT32_M)
            assert_allclose(theirs.trajectory.quat_xyzw, ours.trajectory.quat_xyzw, atol=1e-6)
            assert len(theirs.candidates) == 2
            assert_allclose(theirs.candidates[1].xyz, ours.candidates[1].xyz, atol=FLOAT32_M)
            assert same(theirs.reasoning, ours.reasoning)
        remote.close()


def test_any_moment_may_be_asked_about_at_any_time():
    """A policy is a function of its observation; so is one behind an address, whatever was asked before."""
    with serving(served(SeeingPolicy, (FRONT,))) as address:
        remote = RemoteDriver(address)
        moments = [seen(0), seen(5), seen(1), replace(seen(5, seed=9), t_us=seen(5).t_us), seen(30), seen(0)]
        for moment in moments:
            ours, theirs = SeeingPolicy().decide(moment), remote.decide(moment)
            assert_allclose(theirs.trajectory.xyz, ours.trajectory.xyz, atol=FLOAT32_M)
            assert same(theirs.reasoning, ours.reasoning)
        remote.close()


@pytest.mark.parametrize("policy", [RouteFollower, ConstantVelocity])
def test_a_whole_drive_behind_the_wire_is_the_drive_in_process(policy):
    scenario = make_scenario("built:roundabout", 2, 12.0)
    world = World(scenario)
    here = roll_out(scenario, world, Observer(), SafeDriver(policy()))
    with serving(served(lambda seed: policy())) as address:
        remote = RemoteDriver(address)
        there = roll_out(scenario, world, Observer(), SafeDriver(remote))
        remote.close()
    assert there.ended == here.ended and len(there.steps) == len(here.steps) > 50
    for a, b in zip(here.steps, there.steps, strict=True):
        assert_allclose(b.state.ego.xyz, a.state.ego.xyz, atol=5e-3)  # small differences add up over 12 s
        assert b.output.verdict.action == a.output.verdict.action
    first = (here.steps[0].output.decision, there.steps[0].output.decision)
    assert_allclose(first[1].trajectory.xyz, first[0].trajectory.xyz, atol=FLOAT32_M)


def test_a_process_holds_one_session_however_many_drives(shown):
    with serving(served(Watching, (FRONT,)), ServiceConfig(SessionLimits(sessions=1))) as address:
        remote = RemoteDriver(address)
        remote.try_cameras((FRONT,))
        for seed in range(4):
            remote.decide(seen(0, seed=seed))
        assert pickle.loads(pickle.dumps(remote)).name == remote.name
        remote.close()
        again = RemoteDriver(address)
        again.decide(seen())
        again.close()


def test_faults_are_said_in_words():
    with pytest.raises(ValueError, match="HOST:PORT"):
        RemoteDriver("localhost")
    with pytest.raises(ConnectionError, match=r"nobody answers at 127\.0\.0\.1:1 .*start the driver"):
        RemoteDriver("127.0.0.1:1").connect()
    with pytest.raises(ValueError, match="--ca"):
        Endpoint("127.0.0.1:1", token_file=__file__)
    with serving(served(SeeingPolicy, (FRONT,))) as address:
        remote = RemoteDriver(address)
        with pytest.raises(ConnectionError, match="camera_front_wide_120fov"):
            remote.try_cameras(rig(("camera_front_tele_30fov",), 96, 54).cameras)
        remote.try_cameras((FRONT,))
        remote.close()


def test_a_short_coarse_plan_is_read_between_its_poses_and_carried_on():
    """Others answer with few poses and from before now; between them the plan is straight, behind them it goes on."""
    moment = seen(cameras=())
    moment = replace(moment, ego=replace(moment.ego, xyz=np.zeros(3), quat_xyzw=np.array([0.0, 0.0, 0.0, 1.0])))
    stamps = moment.t_us + np.array([-200_000, 800_000, 2_800_000])
    xyz = np.array([[-2.0, 0.0, 0.0], [8.0, 0.0, 0.0], [28.0, 4.0, 0.0]])
    plan = rig_plan(Trajectory(stamps, xyz, np.tile([0.0, 0.0, 0.0, 1.0], (3, 1)), "local"), moment, "other")
    assert len(plan.t_us) == 64 and plan.t_us[0] == moment.t_us + 100_000
    assert_allclose(plan.xyz[0], [1.0, 0.0, 0.0], atol=1e-9)
    assert_allclose(plan.xyz[17], [18.0, 2.0, 0.0], atol=1e-9)
    assert_allclose(plan.xyz[37], [38.0, 6.0, 0.0], atol=1e-9)


# -------------------------------------------------------------------- the verbs


def test_drive_by_an_address(tmp_path, capsys):
    with serving() as address:
        arguments = ["drive", "--driver", address, "--map", "built:curve", "--duration", "2", "--cameras", "none"]
        assert main([*arguments, "--output", str(tmp_path / "there")]) == 0
    assert "verdicts: 20 pass" in capsys.readouterr().out
    rollout = read_rollout(tmp_path / "there" / "rollout.npz")
    assert rollout.steps[0].output.decision.policy == f"driver {address}"
    command = ["drive", "--policy", "route-follower", "--map", "built:curve", "--duration", "2", "--cameras", "none"]
    assert main([*command, "--output", str(tmp_path / "here")]) == 0
    here = read_rollout(tmp_path / "here" / "rollout.npz")
    assert_allclose(rollout.final.ego.xyz, here.final.ego.xyz, atol=1e-3)


def test_a_driver_that_fails_stops_the_car_and_the_verb_says_why(tmp_path, capsys):
    service = DriverService(served())

    async def refuse(request, context):
        raise ValueError("the model is not loaded")

    service.drive = refuse
    with Background({DRIVER: service}, ServerConfig(port=0, grace_s=1.0), after=service.stop) as address:
        arguments = ["drive", "--driver", address, "--map", "built:curve", "--duration", "2", "--cameras", "none"]
        assert main([*arguments, "--output", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "verdicts: 20 fallback" in said and "First fallback after 0.0 s" in said and "model is not loaded" in said


def test_drive_by_an_address_where_nobody_is(tmp_path, capsys):
    arguments = ["drive", "--driver", "127.0.0.1:1", "--map", "built:curve", "--output", str(tmp_path / "o")]
    assert main(arguments) == 2
    assert "nobody answers at 127.0.0.1:1" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_bench_by_an_address_beside_the_same_policy(tmp_path, capsys):
    with serving(config=ServiceConfig(SessionLimits(sessions=1))) as address:
        command = ["bench", "--driver", address, "--policy", "route-follower", "--families", "cut_in"]
        command += ["--seeds", "1", "--workers", "1", "--videos", "0", "--output", str(tmp_path)]
        assert main(command) == 0
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [r["case"]["policy"] for r in results] == ["route-follower", f"driver {address}"]
    assert results[0]["driven_s"] == results[1]["driven_s"] > 5.0
    assert results[0]["reason"] == results[1]["reason"] and results[1]["ended"] != "crashed"
