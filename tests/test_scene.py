"""What stands in a scene, and what lights it: from a map whose roads are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cordillera.sensors.classes import LIT_BOTTOM, LIT_MIDDLE, LIT_TOP, SIGNAL_BASE, Semantic
from cordillera.sensors.light import light_of, sun_direction
from cordillera.sensors.scene import Scene, build_scene, is_rural, lamp_grid, street_prototypes
from cordillera.sensors.scene_ground import PAVED_KINDS, ROAD_KINDS
from cordillera.sensors.scene_signals import light_flags, sign_name
from cordillera.sensors.textures import sign_names, sign_pixels, sign_table, sky_directions
from cordillera.types import LaneKind, LightState, RoadMap, Signal, SignalKind, Weather, same
from cordillera.world.maps import load_map


@pytest.fixture(scope="module")
def four_way() -> RoadMap:
    return load_map("built:four_way")


@pytest.fixture(scope="module")
def scene(four_way: RoadMap) -> Scene:
    return build_scene(four_way, seed=3)


def test_the_same_map_and_seed_give_the_same_scene(four_way: RoadMap, scene: Scene):
    again = build_scene(four_way, seed=3)
    assert same(tuple(scene.fixed), tuple(again.fixed)) and same(tuple(scene.library), tuple(again.library))
    assert scene.light.sky.tobytes() == again.light.sky.tobytes()
    other = build_scene(four_way, seed=4)
    assert not same(scene.fixed.xyz, other.fixed.xyz), "another seed builds another town along the same road"


def test_nothing_stands_on_the_roads(scene: Scene):
    fixed = scene.fixed
    for kind, gap_m in ((Semantic.BUILDING, 3.0), (Semantic.VEGETATION, 0.3), (Semantic.POLE, 0.0)):
        mine = fixed.semantic == kind
        assert mine.sum() > 4, kind.name
        upright = mine & (fixed.proto != scene.names["arm"])  # arms hang above the road
        for lane in scene.map.lanes:
            if lane.kind in ROAD_KINDS:
                half = 0.5 * np.linalg.norm(lane.left_xyz - lane.right_xyz, axis=1).max()
                gap = np.linalg.norm(fixed.xyz[upright, None, :2] - lane.center_xyz[None, :, :2], axis=-1).min()
                assert gap > half + gap_m, (kind.name, lane.id)


def test_the_surface_knows_road_pavement_and_open_ground(scene: Scene):
    def cover(x: float, y: float) -> np.ndarray:
        surface = scene.ground.surface
        u, v = (x - surface.x0) / 32.0, (y - surface.y0) / 32.0
        slot = surface.slot[int(v), int(u)]
        return surface.cover[slot][int((v % 1) * 64), int((u % 1) * 64)] / 255.0 if slot >= 0 else np.zeros(3)

    for lane in scene.map.lanes:
        x, y = lane.center_xyz[len(lane.center_xyz) // 2, :2]
        if lane.kind == LaneKind.DRIVING:
            assert cover(x, y)[0] > 0.95
        elif lane.kind in PAVED_KINDS:
            assert cover(x, y)[1] > 0.8 and cover(x, y)[0] < 0.2
    assert cover(60.0, 40.0).max() == 0.0


def test_every_signal_has_a_face_where_the_map_puts_it(scene: Scene):
    layout = scene.signals
    for k, signal in enumerate(scene.map.signals):
        row = layout.row_of[k]
        assert row >= 0 and layout.items.label[row] == SIGNAL_BASE + k
        np.testing.assert_allclose(layout.items.xyz[row], signal.xyz)
        np.testing.assert_allclose(
            layout.items.axes[row][:, 0], [math.cos(signal.yaw_rad), math.sin(signal.yaw_rad), 0]
        )
        assert (layout.three[row] == 1) == (signal.kind == SignalKind.TRAFFIC_LIGHT)


def test_lenses_follow_the_state_and_flash_once_a_second(scene: Scene):
    lights = scene.signals.row_of[[k for k, s in enumerate(scene.map.signals) if s.kind == SignalKind.TRAFFIC_LIGHT]]
    shown = {
        LightState.OFF: 0, LightState.RED: LIT_TOP, LightState.RED_AMBER: LIT_TOP | LIT_MIDDLE,
        LightState.AMBER: LIT_MIDDLE, LightState.GREEN: LIT_BOTTOM,
    }  # fmt: skip
    for light, flags in shown.items():
        states = np.full(len(scene.map.signals), int(light))
        assert set(light_flags(scene.signals, states, 700_000)[lights]) == {flags}, light.name
    for light, lens in ((LightState.FLASHING_AMBER, LIT_MIDDLE), (LightState.FLASHING_RED, LIT_TOP)):
        states = np.full(len(scene.map.signals), int(light))
        over = [int(light_flags(scene.signals, states, t)[lights[0]]) for t in range(0, 2_000_000, 250_000)]
        assert over == [lens, lens, 0, 0] * 2, light.name


def sign(kind: SignalKind, code: str = "", value: float = math.nan) -> Signal:
    signal = next(s for s in load_map("built:four_way").signals if s.kind == SignalKind.SPEED_LIMIT)
    return replace(signal, kind=kind, code=code, value=value)


@pytest.mark.parametrize(
    ("made", "region", "words"),
    [
        (sign(SignalKind.STOP), "US", "stop"), (sign(SignalKind.STOP), "JP", "stop"),
        (sign(SignalKind.GIVE_WAY), "DE", "yield"), (sign(SignalKind.PRIORITY), "DE", "priority-road"),
        (sign(SignalKind.CROSSING), "US", "pedestrians-crossing"),
        (sign(SignalKind.SPEED_LIMIT, value=50.0 / 3.6), "DE", "limit-50--g1"),
        (sign(SignalKind.SPEED_LIMIT, value=35.0 / 2.23694), "US", "limit-35--g"),
        (sign(SignalKind.SPEED_LIMIT, code="274-30", value=99.0), "DE", "limit-30--g1"),
        (sign(SignalKind.OTHER, code="DE:123"), "DE", "roadworks"),
    ],
)  # fmt: skip
def test_signs_get_the_picture_of_their_meaning_and_country(made: Signal, region: str, words: str):
    name = sign_name(made, region)
    assert words in name and name in sign_names()


def test_the_atlas_holds_every_sign_with_its_outline_and_smaller_copies():
    pixels, table = sign_pixels(), sign_table()
    assert len(pixels) == len(sign_names()) == len(table)
    assert (pixels[..., 3].reshape(len(pixels), -1).max(axis=1) == 255).all(), "no picture is empty"
    full, half = table[:, :64, :64], table[:, 64:96, :32]
    np.testing.assert_allclose(half.mean(axis=(1, 2)), full.mean(axis=(1, 2)), atol=1e-4)
    flat = table.reshape(len(table), -1)
    gaps = [abs(flat[a] - flat[b]).max() for a in range(len(flat)) for b in range(a)]
    assert min(gaps) > 0.05, "no two signs look the same"


def test_the_sun_stands_in_the_south_at_noon_and_below_the_horizon_at_night():
    noon, morning, night = sun_direction(12.0), sun_direction(8.0), sun_direction(23.0)
    assert noon[1] < 0.0 and abs(noon[0]) < 1e-9 and noon[2] > 0.7
    assert morning[0] > 0.3 and 0.0 < morning[2] < noon[2] and night[2] < 0.0
    np.testing.assert_allclose(math.degrees(math.asin(noon[2])), 90.0 - 46.0 + 12.0)


def test_weather_and_hour_set_the_light():
    noon, dusk = light_of(Weather.CLEAR, 12.0, 0), light_of(Weather.CLEAR, 18.0, 0)
    night, cloudy = light_of(Weather.CLEAR, 23.0, 0), light_of(Weather.CLOUDY, 12.0, 0)
    rain, fog = light_of(Weather.RAIN, 12.0, 0), light_of(Weather.FOG, 12.0, 0)
    assert noon.sun.sum() > dusk.sun.sum() > night.sun.sum() == 0.0
    assert dusk.sun[2] / dusk.sun[0] < 0.8 * noon.sun[2] / noon.sun[0], "a low sun is warm"
    assert cloudy.sun.sum() < 0.3 * noon.sun.sum()
    assert night.lamps and rain.lamps and fog.lamps and not noon.lamps and not cloudy.lamps
    assert fog.fog_per_m > 5.0 * rain.fog_per_m > 5.0 * cloudy.fog_per_m
    assert rain.wet > 0.0 == noon.wet and night.dark == 1.0 and noon.dark == 0.0
    clear = sky_directions()[..., 2] > 0.5
    assert noon.sky[clear][:, 2].mean() > 1.3 * noon.sky[clear][:, 0].mean(), "a clear sky is blue"
    assert 0.8 < cloudy.sky[clear][:, 2].mean() / cloudy.sky[clear][:, 0].mean() < 1.3, "clouds are grey"


def test_the_grid_of_lamps_finds_all_that_reach_a_cell():
    rng = np.random.default_rng(0)
    xyz = np.column_stack([rng.uniform(-100.0, 100.0, (40, 2)), np.full(40, 8.0)])
    lamps = lamp_grid(xyz)
    for x, y in rng.uniform(-100.0, 100.0, (50, 2)):
        cell = int((y - lamps.y0) // 16.0) * lamps.columns + int((x - lamps.x0) // 16.0)
        found = set(lamps.member[lamps.first[cell] : lamps.first[cell + 1]])
        assert set(np.flatnonzero(np.hypot(xyz[:, 0] - x, xyz[:, 1] - y) < 30.0)) <= found
    assert len(lamp_grid(np.zeros((0, 3))).member) == 0


def test_levels_of_detail_get_smaller():
    for name, prototype in street_prototypes().items():
        sizes = [len(mesh.tri) for mesh in prototype.meshes]
        assert sizes == sorted(sizes, reverse=True), name
        assert list(prototype.switch_px) == sorted(prototype.switch_px, reverse=True), name
        for mesh in prototype.meshes:
            assert mesh.tri.min() >= 0 and mesh.tri.max() < len(mesh.xyz), name
            np.testing.assert_allclose(np.linalg.norm(mesh.normal, axis=1), 1.0, atol=1e-6, err_msg=name)


def test_towns_and_open_country_are_told_apart(four_way: RoadMap):
    assert not is_rural(four_way)
    bare = tuple(lane for lane in four_way.lanes if lane.kind == LaneKind.DRIVING)
    assert is_rural(replace(four_way, lanes=bare, signals=(), crossings=()))
