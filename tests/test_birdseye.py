"""The view from above: what is where in the picture, by colour and place."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cordillera.geometry import quat_from_yaw
from cordillera.types import (
    Agents,
    Cause,
    Controls,
    Decision,
    DriveOutput,
    EgoState,
    Lane,
    LaneKind,
    LightState,
    Longitudinal,
    ReasoningTrace,
    RoadMap,
    RoadMark,
    Route,
    Scenario,
    Signal,
    SignalKind,
    Step,
    StopLine,
    Trajectory,
    Verdict,
    Weather,
    WorldState,
)
from cordillera.viewer.actors import BRAKE, EGO, LIGHTS, glow
from cordillera.viewer.birdseye import CAUSE, EGO_AT, BirdsEye, ViewConfig
from cordillera.viewer.hud import font, lay, wrap
from cordillera.viewer.map_layer import GROUND, ROAD, MapLayer, _dashes
from cordillera.viewer.record import camera_strip

YAW = math.radians(30.0)
VIEW = ViewConfig(640, 480, 8.0)


def along(distance_m: float, left_m: float = 0.0) -> np.ndarray:
    """A point so far ahead of the origin and to its left, in the world."""
    c, s = math.cos(YAW), math.sin(YAW)
    return np.array([c * distance_m - s * left_m, s * distance_m + c * left_m, 0.0])


def road() -> RoadMap:
    """A straight lane through the origin at 30 degrees, with a light 30 m ahead."""
    center, left, right = (np.stack([along(-60.0, y), along(90.0, y)]) for y in (0.0, 1.75, -1.75))
    lane = Lane("1", LaneKind.DRIVING, center, left, right, 13.9)
    stop = StopLine("s", np.stack([along(30.0, -1.75), along(30.0, 1.75)]), (0,))
    light = Signal("l", SignalKind.TRAFFIC_LIGHT, along(36.0, 5.0), YAW + math.pi, (0,), (0,))
    return RoadMap("a <road>", "right", "DE", (lane,), (RoadMark(left, "solid", "white", 0.12),), (stop,), (light,))


def agents(count: int = 1) -> Agents:
    xyz = np.array([along(20.0)] * count).reshape(count, 3)
    full, whole = np.full(count, 1.0), np.zeros(count, dtype=np.int64)
    sizes = np.tile([4.5, 1.9, 1.5], (count, 1))
    valid = np.ones(count, dtype=bool)
    return Agents(whole + 7, whole, xyz, YAW * full, 5.0 * full, -3.0 * full, sizes, whole, 80.0 * full, valid)


def step_of(light: LightState = LightState.RED, cars: int = 1, reason: bool = True) -> Step:
    ego = EgoState(0, np.zeros(3), quat_from_yaw(YAW), np.array([8.0, 0.0, 0.0]))
    state = WorldState(0, ego, agents(cars), np.array([int(light)]))
    t = np.arange(1, 65, dtype=np.int64) * 100_000
    xyz = np.stack([np.linspace(0.4, 12.0, 64), np.zeros(64), np.zeros(64)], axis=-1)
    plan = Trajectory(t, xyz, np.tile([0.0, 0.0, 0.0, 1.0], (64, 1)), "rig")
    causes = (Cause("lead vehicle", "agent:7", "ahead", 0, 20.0),)
    trace = ReasoningTrace(Longitudinal.FOLLOW_LEAD, None, causes, "Keep the gap.", "test") if reason else None
    output = DriveOutput(Decision(plan, (), trace, "test", 1.0), Controls(0.0, 0.0), Verdict("pass"))
    return Step(state, output)


def scenario(**changes: object) -> Scenario:
    route = Route(np.stack([along(0.0), along(80.0)]))
    return replace(Scenario("x", 0, "DE", "x", "", step_of().state, route, 10.0), **changes)  # type: ignore[arg-type]


def frame(step: Step, **changes: object) -> np.ndarray:
    return BirdsEye(scenario(**changes), road(), VIEW).draw(step)


def near(image: np.ndarray, color: tuple[int, int, int], tolerance: int = 12) -> np.ndarray:
    """Pixels (N, 2) as (x, y) of nearly this colour."""
    rows, columns = np.nonzero((np.abs(image.astype(int) - color) <= tolerance).all(axis=2))
    return np.stack([columns, rows], axis=-1)


def test_the_ego_stands_in_its_place_and_heads_up():
    ego = near(frame(step_of(cars=0)), EGO)
    box = ego.max(axis=0) - ego.min(axis=0)
    assert box[1] > 1.6 * box[0]  # longer than wide, upright
    center = 0.5 * (ego.max(axis=0) + ego.min(axis=0))
    expected = np.array([EGO_AT[0] * 640, EGO_AT[1] * 480 - 1.43 * 8.0])
    assert np.abs(center - expected).max() < 3.0


def test_a_braking_car_ahead_shows_its_brake_lights_above_the_ego():
    x, y = near(frame(step_of(reason=False), hour=12.0), BRAKE)[:, 0], near(frame(step_of(reason=False)), BRAKE)[:, 1]
    tail = (y > 140) & (y < 200)  # 17.75 m ahead: 142 pixels above 316.8
    assert tail.any()
    assert abs(x[tail].mean() - 320) < 4 and abs(y[tail].mean() - (316.8 - 17.75 * 8)) < 4


def test_the_named_cause_is_ringed_and_others_are_not():
    assert len(near(frame(step_of()), CAUSE)) > 60
    assert len(near(frame(step_of(reason=False)), CAUSE)) < 10


@pytest.mark.parametrize("light", [LightState.RED, LightState.GREEN, LightState.AMBER])
def test_a_light_shines_in_its_colour_at_its_place(light: LightState):
    image = frame(step_of(light, cars=0))
    at = np.array([320 - 5.0 * 8, 316.8 - 36.0 * 8])
    assert (np.abs(near(image, LIGHTS[light]) - at).max(axis=1) < 4).any()


def test_a_light_that_is_off_does_not_shine():
    image = frame(step_of(LightState.OFF, cars=0))
    assert all((np.abs(near(image, color) - [280, 29]).max(axis=1) > 6).all() for color in LIGHTS.values())


def test_night_is_darker_and_rain_is_greyer_than_a_clear_noon():
    day, night, rain = frame(step_of()), frame(step_of(), hour=1.0), frame(step_of(), weather=Weather.RAIN)
    ground = (slice(150, 250), slice(0, 60))
    assert night[ground].mean() < 0.5 * day[ground].mean()
    assert np.ptp(rain[ground].mean(axis=(0, 1))) < np.ptp(day[ground].mean(axis=(0, 1)))


def test_the_same_drive_gives_the_same_pictures():
    assert (frame(step_of()) == frame(step_of())).all()


def test_empty_worlds_and_broken_plans_are_drawn():
    step = step_of(cars=0, reason=False)
    bad = replace(step.output.decision.trajectory, xyz=np.full((64, 3), np.nan))
    output = replace(step.output, decision=replace(step.output.decision, trajectory=bad), verdict=Verdict("fallback"))
    image = frame(Step(step.state, output), route=Route(np.zeros((0, 3))))
    assert image.shape == (480, 640, 3)


def test_the_map_is_painted_where_it_lies():
    layer = MapLayer(road())
    view = np.array([[4.0, 0.0, 100.0], [0.0, -4.0, 100.0]])
    image = layer.view(view, 200, 200)
    assert np.abs(image[100, 100].astype(int) - ROAD).max() < 8
    x, y = 100 + 4 * along(0.0, 8.0)[0], 100 - 4 * along(0.0, 8.0)[1]
    assert tuple(image[round(y), round(x)]) == GROUND


def test_dashes_are_three_metres_and_stay_on_the_line():
    dashes = _dashes(np.array([[0.0, 0.0], [30.0, 0.0]]), 3.0, 4.5)
    assert [round(float(d[-1, 0] - d[0, 0]), 6) for d in dashes] == [3.0] * 4
    assert all(d[:, 0].min() >= 0.0 and d[:, 0].max() <= 30.0 for d in dashes)


def test_overlays_blend_by_alpha_and_are_cut_at_the_edge():
    image = np.full((10, 10, 3), 100, dtype=np.uint8)
    overlay = np.zeros((6, 6, 4), dtype=np.uint8)
    overlay[..., 0], overlay[..., 3] = 255, 51  # a fifth of red
    lay(image, overlay, 7, -3)
    assert np.abs(image[1, 8].astype(int) - [131, 80, 80]).max() <= 1
    assert (image[:, :7] == 100).all() and (image[3:] == 100).all()
    lay(image, overlay, 40, 40)


def test_light_falls_off_from_its_centre_and_is_cut_at_the_edge():
    image = np.zeros((41, 41, 3), dtype=np.uint8)
    glow(image, 2.0, 20.0, 10, (255, 0, 0), 1.0)
    assert image[20, 2, 0] == 255 > image[20, 6, 0] > image[20, 10, 0] and image[20, 13:].max() == 0


def test_words_wrap_to_the_width():
    face = font(20)
    lines = wrap("one two three four five six seven eight nine ten", face, 120)
    assert len(lines) > 1 and all(face.getlength(line) <= 120 for line in lines)
    assert " ".join(lines) == "one two three four five six seven eight nine ten"


def test_cameras_stand_in_rows_of_four_under_their_names():
    pictures = [np.full((90, 160, 3), 40 * k, dtype=np.uint8) for k in range(5)]
    strip = camera_strip([f"camera_{k}" for k in range(5)], pictures, 640)
    assert strip.shape[1:] == (640, 3) and strip.shape[0] % 2 == 0
    columns = [80, 240, 400, 560]
    assert [int(strip[70, x].mean()) for x in columns] == [0, 40, 80, 120]
