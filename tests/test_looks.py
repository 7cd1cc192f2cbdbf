"""What cells of a picture show, and the heads that teach it to the vision tower."""

from __future__ import annotations

import numpy as np
import pytest

from cordillera.data.clip import looks_columns, looks_of
from cordillera.data.tables import from_bytes, to_bytes
from cordillera.sensors.classes import OBJECT_BASE, SIGNAL_BASE, Semantic
from cordillera.sensors.looks import AMBER, CELL_PX, CHANNELS, GREEN, NEAR_M, NEARNESS, RED, looks
from cordillera.sensors.render import CameraFrame
from cordillera.sensors.rig import rig
from cordillera.types import LightState, SignalKind
from cordillera.world.maps import load_map


@pytest.fixture(scope="module")
def road_map():
    return load_map("built:four_way,control=signals")


def picture(semantic, instance, depth):
    camera = rig(("camera_front_wide_120fov",), 48, 32).cameras[0]
    rgb = np.zeros((32, 48, 3), np.uint8)
    return CameraFrame(camera, 0, rgb, semantic.astype(np.uint8), instance.astype(np.uint16), depth.astype(np.float32))


@pytest.fixture
def plain():
    """All road, nothing on it: semantic, instance, depth of a picture of two by three cells."""
    return np.full((32, 48), Semantic.ROAD), np.zeros((32, 48), int), np.full((32, 48), 20.0)


def test_shares_are_those_of_the_pixels(plain, road_map):
    semantic, instance, depth = plain
    semantic[:16, 16:24] = Semantic.SKY
    semantic[31, 47] = Semantic.POLE
    cells = looks(picture(semantic, instance, depth), np.zeros(0, int), road_map)
    assert cells.shape == (32 // CELL_PX, 48 // CELL_PX, CHANNELS)
    assert cells[0, 0, Semantic.ROAD] == 255
    assert cells[0, 1, Semantic.SKY] == cells[0, 1, Semantic.ROAD] == 127
    assert cells[1, 2, Semantic.POLE] == 1  # a single pixel still counts
    assert (cells[..., NEARNESS] == 0).all()
    assert cells.sum() == 255 * 5 + 127 * 2 - 255 + 254 + 1  # nothing else is there


@pytest.mark.parametrize(
    ("state", "channel"),
    [(LightState.RED, RED), (LightState.RED_AMBER, AMBER), (LightState.AMBER, AMBER), (LightState.GREEN, GREEN),
     (LightState.FLASHING_RED, RED), (LightState.FLASHING_AMBER, AMBER), (LightState.OFF, None)],
)  # fmt: skip
def test_a_light_has_the_colour_of_its_signal(plain, road_map, state, channel):
    semantic, instance, depth = plain
    which = next(n for n, s in enumerate(road_map.signals) if s.kind is SignalKind.TRAFFIC_LIGHT)
    semantic[4:12, 4:8], instance[4:12, 4:8] = Semantic.TRAFFIC_LIGHT, SIGNAL_BASE + which
    semantic[20:24, 4:8], instance[20:24, 4:8] = Semantic.TRAFFIC_LIGHT, OBJECT_BASE + which  # a thing of that look
    signals = np.full(len(road_map.signals), LightState.GREEN)
    signals[which] = state
    cells = looks(picture(semantic, instance, depth), signals, road_map)
    for colour in (RED, AMBER, GREEN):
        assert cells[0, 0, colour] == (32 * 255 // 256 if colour == channel else 0)
        assert cells[1, 0, colour] == 0


def test_nearness_is_that_of_the_nearest_thing(plain, road_map):
    semantic, instance, depth = plain
    semantic[0:4, 0:4], depth[0:4, 0:4] = Semantic.CAR, 40.0
    semantic[6, 6], depth[6, 6] = Semantic.PERSON, 12.0
    depth[10, 10] = 3.0  # near, but road
    cells = looks(picture(semantic, instance, depth), np.zeros(0, int), road_map)
    assert cells[0, 0, NEARNESS] == round(255 * np.exp(-12.0 / NEAR_M))
    assert (cells.reshape(-1, CHANNELS)[1:, NEARNESS] == 0).all()


def test_the_table_of_a_clip_gives_them_back():
    from types import SimpleNamespace

    chance = np.random.default_rng(0)
    cells = chance.integers(0, 255, (3, 2, 3, CHANNELS), dtype=np.uint8)
    film = SimpleNamespace(camera=SimpleNamespace(name="front"), t_us=np.array([0, 100, 200]), looks=cells)
    without = SimpleNamespace(camera=SimpleNamespace(name="rear"), t_us=np.array([0, 100, 200]), looks=None)
    columns = from_bytes(to_bytes(looks_columns(SimpleNamespace(films=(film, without)))), "memory")  # type: ignore[arg-type]
    back = looks_of(columns, "front")
    assert [t for t, _ in back] == [0, 100, 200]
    np.testing.assert_array_equal(np.stack([c for _, c in back]), cells)
    assert looks_of(columns, "rear") == []
