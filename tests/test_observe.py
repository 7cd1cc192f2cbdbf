"""Observations: frames, history, odometry, camera rates and offsets."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cordillera.geometry import quat_from_yaw, quat_of, rotation_of, transform_of, transform_points, yaw_of
from cordillera.sensors.imaging import NOISY, ImagingConfig
from cordillera.sensors.observe import Observer, between, rewind
from cordillera.types import Agents, Camera, EgoState, Rig, Route, WorldState, same

ROUTE = Route(np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]]), "left", "Turn left in 40 m", "world", (3, 4))


def state_at(t_us, x, y, yaw, speed, agent_x=30.0):
    agents = Agents(
        id=np.array([7]), kind=np.array([0]), xyz=np.array([[agent_x, 5.0, 0.0]]), yaw_rad=np.array([np.pi]),
        speed_mps=np.array([4.0]), accel_mps2=np.zeros(1), size_lwh=np.array([[4.5, 1.8, 1.5]]), lane=np.array([-1]),
        s_m=np.zeros(1), valid=np.ones(1, dtype=bool),
    )  # fmt: skip
    ego = EgoState(t_us, np.array([x, y, 0.0]), quat_from_yaw(yaw), np.array([speed, 0.0, 0.0]))
    return WorldState(t_us, ego, agents, np.zeros(0, dtype=np.int64))


def camera(name, rate_hz=10.0, offset_us=0):
    return Camera(name, "pinhole", 4, 2, 1.5, 0.5, (0.0, 2.0), (0.0, 0.5), np.eye(4), rate_hz, offset_us)


class Stamps:
    """A renderer of pictures whose first pixel is the time in 10 ms, modulo 256, and whose last is the agent's x."""

    def __init__(self):
        self.calls = []

    def render(self, state, cameras):
        self.calls.append((state.t_us, tuple(cam.name for cam in cameras.cameras)))
        return [SimpleNamespace(rgb=self.picture(state, cam)) for cam in cameras.cameras]

    def picture(self, state, cam):
        image = np.full((cam.height, cam.width, 3), 100, dtype=np.uint8)
        image[0, 0, 0] = (state.t_us // 10_000) % 256
        image[-1, -1, 0] = np.clip(round(state.agents.xyz[0, 0] * 5), 0, 255)
        return image


def driven(observer, steps):
    """The observations of a straight drive from time 0."""
    window = observer.begin(state_at(0, 0.0, 0.0, 0.0, 1.0))
    out = [observer.observe(window, ROUTE)]
    for k in range(1, steps):
        window = observer.push(window, state_at(k * 100_000, 0.1 * k, 0.0, 0.0, 1.0, 30.0 - 0.4 * k))
        out.append(observer.observe(window, ROUTE))
    return out


def test_first_history_is_the_past_at_constant_velocity():
    observer = Observer()
    observation = observer.observe(observer.begin(state_at(0, 10.0, 20.0, 0.7, 5.0)), ROUTE)
    history = observation.ego_history
    assert history.frame == "rig" and len(history.t_us) == 16
    assert np.array_equal(history.t_us, np.arange(-15, 1) * 100_000)
    assert np.allclose(history.xyz[:, 0], np.arange(-15, 1) * 0.5, atol=1e-12)
    assert np.allclose(history.xyz[:, 1:], 0.0, atol=1e-12)
    assert np.allclose(yaw_of(history.quat_xyzw), 0.0, atol=1e-12)
    assert observation.truth is None and observation.images == ()


def test_history_and_route_are_in_the_rig_frame_of_now():
    observer = Observer()
    states = [
        state_at(k * 100_000, 2.0 * np.cos(0.1 * k), 2.0 * np.sin(0.1 * k), 0.1 * k + np.pi / 2, 2.0) for k in range(30)
    ]
    window = observer.begin(states[0])
    for state in states[1:]:
        window = observer.push(window, state)
    observation = observer.observe(window, ROUTE)
    tf_world_rig = transform_of(states[-1].ego.xyz, states[-1].ego.quat_xyzw)
    back = transform_points(tf_world_rig, observation.ego_history.xyz)
    assert np.allclose(back, [s.ego.xyz for s in states[-16:]], atol=1e-12)
    assert np.allclose(yaw_of(observation.ego_history.quat_xyzw), 0.1 * np.arange(-15, 1), atol=1e-9)
    assert np.allclose(transform_points(tf_world_rig, observation.route.xyz), ROUTE.xyz, atol=1e-12)
    assert (observation.route.frame, observation.route.command, observation.route.text) == ("rig", "left", ROUTE.text)


def test_odometry_starts_at_the_origin_and_keeps_the_motion():
    observer = Observer()
    window = observer.begin(state_at(0, 100.0, -40.0, 1.2, 5.0))
    window = observer.push(window, state_at(100_000, 100.0 + 0.5 * np.cos(1.2), -40.0 + 0.5 * np.sin(1.2), 1.3, 5.0))
    ego = observer.observe(window, ROUTE).ego
    assert np.allclose(ego.xyz, [0.5, 0.0, 0.0], atol=1e-12)
    assert np.isclose(yaw_of(ego.quat_xyzw), 0.1)
    assert ego.speed_mps == 5.0 and ego.t_us == 100_000
    assert np.allclose(quat_of(rotation_of(ego.quat_xyzw)), ego.quat_xyzw)


def test_cameras_keep_their_own_rates_and_offsets():
    cameras = (camera("ten"), camera("late", 10.0, 30_000), camera("fast", 30.0), camera("slow", 5.0))
    observer = Observer(Rig(cameras), Stamps())
    window = observer.begin(state_at(0, 0.0, 0.0, 0.0, 1.0))
    for k in range(1, 8):
        window = observer.push(window, state_at(k * 100_000, 0.1 * k, 0.0, 0.0, 1.0, 30.0 - 0.4 * k))
    observation = observer.observe(window, ROUTE)
    ten, late, fast, slow = observation.image_t_us
    assert ten.tolist() == [400_000, 500_000, 600_000, 700_000]
    assert late.tolist() == [330_000, 430_000, 530_000, 630_000]
    assert fast.tolist() == [400_000, 500_000, 600_000, 700_000]
    assert slow.tolist() == [400_000, 400_000, 600_000, 600_000]
    for images, stamps in zip(observation.images, observation.image_t_us, strict=True):
        assert images.shape == (4, 2, 4, 3) and images.dtype == np.uint8
        assert (images[:, 0, 0, 0] == stamps // 10_000).all()
    # the agent moves 4 m/s against x: exposures between two states see it in between
    seen = observation.images[1][:, -1, -1, 0]
    assert seen.tolist() == [round((30.0 - 4.0 * t * 1e-6) * 5) for t in late]


def test_frames_before_the_start_show_the_scene_run_backwards():
    observer = Observer(Rig((camera("ten"),)), Stamps())
    observation = observer.observe(observer.begin(state_at(1_000_000, 0.0, 0.0, 0.0, 1.0)), ROUTE)
    assert observation.image_t_us[0].tolist() == [700_000, 800_000, 900_000, 1_000_000]
    assert observation.images[0][:, -1, -1, 0].tolist() == [round((30.0 + 0.4 * k) * 5) for k in (3, 2, 1, 0)]


def test_between_states_poses_are_interpolated_and_ends_are_exact():
    a, b = state_at(0, 0.0, 0.0, 3.1, 2.0, 10.0), state_at(100_000, 1.0, 0.0, -3.1, 2.0, 12.0)
    middle = between(a, b, 50_000)
    assert np.allclose(middle.ego.xyz, [0.5, 0.0, 0.0])
    assert np.isclose(abs(yaw_of(middle.ego.quat_xyzw)), np.pi)
    assert np.isclose(middle.agents.xyz[0, 0], 11.0)
    assert between(a, b, 100_000) is b
    assert same(rewind(a, 0), a)
    assert np.isclose(rewind(a, 500_000).agents.xyz[0, 0], 12.0)


def test_a_rig_without_a_renderer_is_refused():
    with pytest.raises(ValueError, match="renderer"):
        Observer(Rig((camera("ten"),)))


def test_cameras_that_expose_together_are_drawn_together():
    renderer = Stamps()
    driven(Observer(Rig((camera("a"), camera("b", 10.0, 30_000), camera("c"))), renderer), 3)
    assert renderer.calls[-4:] == [(30_000, ("b",)), (100_000, ("a", "c")), (130_000, ("b",)), (200_000, ("a", "c"))]


def test_a_dropped_frame_leaves_the_older_one_with_its_older_time():
    observer = Observer(Rig((camera("a"), camera("b"))), Stamps(), ImagingConfig(drop_rate=0.4, seed=3))
    seen = driven(observer, 200)
    lost = 0
    for before, now in itertools.pairwise(seen[20:]):
        for c in range(2):
            images, stamps = now.images[c], now.image_t_us[c]
            assert (images[:, 0, 0, 0] == stamps // 10_000 % 256).all()  # a picture keeps the time it was taken
            assert (stamps <= now.t_us - 100_000 * np.arange(3, -1, -1)).all()
            assert stamps[-1] in (now.t_us, before.image_t_us[c][-1])
            lost += stamps[-1] != now.t_us
    assert 0.3 < lost / 358 < 0.5
    assert any((x.image_t_us[0] != x.image_t_us[1]).any() for x in seen)  # each camera loses its own


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    runs = [
        driven(Observer(Rig((camera("a"), camera("b"))), Stamps(), replace(NOISY, drop_rate=0.1, seed=seed)), 40)
        for seed in (5, 5, 6)
    ]
    assert all(same(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not same(runs[0][-1].images, runs[2][-1].images)
    assert not np.array_equal(runs[0][-1].images[0], runs[0][-1].images[1])  # noise differs between cameras
    assert not np.array_equal(runs[0][-1].images[0][-1, 1, 1], runs[0][-1].images[0][-2, 1, 1])  # and between frames
