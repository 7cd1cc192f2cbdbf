"""The environment: Gymnasium's own checker, the same drive as the loop, rewards that are metrics, vectors of drives."""

import warnings
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import cordillera.env
from cordillera.env import DriveEnv, state_arrays
from cordillera.evaluate.metrics import progress, red_lights
from cordillera.loop import begin, roll_out
from cordillera.policy.baselines import RouteFollower
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.rig import rig
from cordillera.types import CameraName
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

STRAIGHT = "built:straight,length=300"
CAMERAS = (CameraName.FRONT_WIDE.value, CameraName.FRONT_TELE.value)


def flat_camera(scenario):
    """Senses whose pictures show the speed, so that a test can tell them apart."""

    def render(state, cameras):
        grey = min(int(10 * state.ego.speed_mps), 255)
        return [SimpleNamespace(rgb=np.full((c.height, c.width, 3), grey, dtype=np.uint8)) for c in cameras.cameras]

    return Observer(rig(CAMERAS, 32, 18), SimpleNamespace(render=render))


@pytest.mark.parametrize("observation", ["state", "camera", "both"])
@pytest.mark.parametrize("action", ["controls", "trajectory"])
def test_gymnasiums_own_checker_passes(observation, action):
    env = gymnasium.make(
        "cordillera/Drive-v0", map=STRAIGHT, duration_s=3.0, observation=observation, action=action,
        observer=None if observation == "state" else flat_camera,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(symmetric and normalized|should be an image|mode|spec).*")
        check_env(env.unwrapped)
    assert ("camera" in env.observation_space.spaces) == (observation != "state")
    assert ("ego" in env.observation_space.spaces) == (observation != "camera")
    env.close()


def test_what_is_wrong_is_named():
    for wrong, words in (
        ({"observation": "radar"}, "observation 'radar'.*state, camera, both"),
        ({"action": "shout"}, "action 'shout'"),
        ({"rewards": {"fun": 1.0}}, "reward 'fun'"),
        ({"observation": "camera", "cameras": ("camera_roof",)}, "camera_roof"),
    ):
        with pytest.raises(ValueError, match=words):
            DriveEnv(map=STRAIGHT, **wrong)


def rows_of(plan):
    """A plan -> the action that asks for it."""
    return np.column_stack([plan.xyz[:, :2], 2.0 * np.arctan2(plan.quat_xyzw[:, 2], plan.quat_xyzw[:, 3])])


def test_plans_as_actions_drive_as_the_loop_does():
    scenario = make_scenario("built:t_junction", 4, 6.0)
    world, policy = World(scenario), RouteFollower()
    rollout = roll_out(scenario, world, Observer(), SafeDriver(policy))
    env = DriveEnv(scenario=lambda seed: scenario, action="trajectory", rewards={"progress": 1.0})
    env.reset(seed=0)
    total, ended = 0.0, False
    for step in rollout.steps:
        _, reward, terminated, truncated, info = env.step(rows_of(step.output.decision.trajectory))
        total, ended = total + reward, terminated or truncated
    assert ended and info["ended"] == rollout.ended
    assert np.abs(env._moment.state.ego.xyz - rollout.final.ego.xyz).max() < 1e-6
    assert total == pytest.approx(progress(rollout, world.map).value, abs=1e-6)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.zeros((64, 3)))


def test_rules_broken_far_along_the_route_cost_what_they_should():
    """The sum of the steps' counts is the count over the drive, also far from where it began."""
    for seed in range(6):
        scenario = make_scenario("town01", seed, 25.0)
        world = World(scenario)
        rollout = roll_out(scenario, world, Observer(), SafeDriver(RouteFollower()))
        run = red_lights(rollout, world.map).value
        if run and progress(rollout, world.map).value > 60.0:
            break
    env = DriveEnv(scenario=lambda _: scenario, action="trajectory", rewards={"red lights run": -1.0})
    env.reset(seed=0)
    paid = sum(env.step(rows_of(step.output.decision.trajectory))[1] for step in rollout.steps)
    assert run > 0 and paid == -run


def test_controls_do_what_they_say():
    env = DriveEnv(map=STRAIGHT, duration_s=5.0)
    first, _ = env.reset(seed=1)
    for _ in range(15):
        faster, _, _, _, info = env.step(np.array([1.0, 0.0], dtype=np.float32))
    assert faster["ego"][0] > first["ego"][0] + 2.5 and info["verdict"] == "pass"
    for _ in range(10):
        slower, _, _, _, _ = env.step(np.array([-0.5, 0.0], dtype=np.float32))
    assert slower["ego"][0] < faster["ego"][0] - 1.0
    env.reset(seed=1)
    ended = False
    while not ended:
        _, reward, ended, truncated, info = env.step(np.array([0.0, 1.0], dtype=np.float32))
        assert not truncated
    assert info["ended"] in ("off-road", "collision") and reward < -10.0
    assert sum(info["rewards"].values()) == pytest.approx(reward)


def test_the_same_seed_gives_the_same_episode_and_other_seeds_do_not():
    def episode(seed):
        env = DriveEnv(map="built:t_junction", duration_s=2.0)
        first, _ = env.reset(seed=seed)
        actions = [np.array([0.1 * k, 0.0], dtype=np.float32) for k in range(10)]
        return np.stack([first["agents"], *(env.step(action)[0]["agents"] for action in actions)])

    assert np.array_equal(episode(3), episode(3))
    assert not np.array_equal(episode(3), episode(4))


def test_a_vector_of_drives_is_its_drives():
    kwargs = {"map": "built:t_junction", "duration_s": 1.0}
    many = gymnasium.make_vec("cordillera/Drive-v0", num_envs=2, vectorization_mode="sync", **kwargs)
    seen, _ = many.reset(seed=[5, 6])
    for k, seed in enumerate((5, 6)):
        alone, _ = DriveEnv(**kwargs).reset(seed=seed)
        assert np.array_equal(seen["agents"][k], alone["agents"])
    actions = np.zeros((2, 2), dtype=np.float32)
    for _ in range(10):
        _, rewards, _, truncated, _ = many.step(actions)
    assert rewards.shape == (2,) and truncated.all()
    many.close()


def test_a_family_is_drawn_from_the_train_split():
    env = DriveEnv(family="roadblock")
    names = [env.reset(seed=seed)[1]["scenario"] for seed in (1, 2, 1)]
    assert all("roadblock" in name and "train" in name for name in names)
    assert names[0] == names[2] != names[1]


def test_the_state_is_what_the_world_shows():
    scenario = make_scenario("town01", 2, 5.0)
    world = World(scenario)
    moment = begin(world, Observer())
    seen, ego, agents = state_arrays(world, moment), moment.state.ego, moment.state.agents
    assert seen["ego"][0] == ego.speed_mps
    assert np.hypot(*seen["route"][0]) < 0.5 and seen["route"][3, 0] > 5.0, "the route begins here and leads ahead"
    near = np.hypot(*(agents.xyz[:, :2] - ego.xyz[:2]).T)[agents.valid]
    there = seen["agents"][:, 0] == 1.0
    assert there.sum() == min((near < 80.0).sum(), 16)
    assert np.allclose(np.sort(near)[: there.sum()], np.hypot(*seen["agents"][there, 1:3].T), atol=0.3)


def test_pictures_are_those_of_the_renderer():
    env = DriveEnv(map=STRAIGHT, duration_s=1.0, observation="both", size=(64, 36))
    first, _ = env.reset(seed=0)
    later = env.step(np.array([1.0, 0.0], dtype=np.float32))[0]
    assert first["camera"].shape == (1, 36, 64, 3) and env.observation_space.contains(later)
    assert first["camera"].std() > 10.0 and (first["camera"] != later["camera"]).any()


def test_the_module_registers_itself():
    assert "cordillera/Drive-v0" in gymnasium.registry and cordillera.env.DriveEnv is DriveEnv
