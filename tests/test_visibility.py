"""How much of a thing a camera shows: boxes whose images are known, and the pictures of a real scene."""

from dataclasses import replace

import numpy as np
import pytest

from cordillera.geometry import quat_from_yaw
from cordillera.sensors.classes import AGENT_BASE, SIGNAL_BASE, Semantic
from cordillera.sensors.mesh import box
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import mount_transform, pinhole_camera, rig
from cordillera.sensors.scene import Scene, build_scene
from cordillera.sensors.scene_agents import REFERENCE
from cordillera.sensors.scene_arrays import Instances, Prototype, compile_library, no_instances
from cordillera.sensors.scene_signals import SignalLayout
from cordillera.sensors.visibility import visible
from cordillera.types import AgentKind, Agents, EgoState, Rig, WorldState
from cordillera.world.maps import load_map
from cordillera.world.spawn import make_scenario

HEIGHT_M, BOX = 1.0, (2.0, 2.0, 2.0)
AHEAD = pinhole_camera("ahead", 400, 300, 90.0, mount_transform((0.0, 0.0, HEIGHT_M), 0.0))  # 200 pixels a unit


@pytest.fixture(scope="module")
def town() -> Scene:
    return build_scene(load_map("built:four_way"))


@pytest.fixture(scope="module")
def boxes(town: Scene) -> CpuRenderer:
    """A renderer whose agents are plain boxes of exactly their size, in an empty world."""
    shapes = [Prototype((box(size, (0.0, 0.0, 0.5 * size[2])),), (0.01,)) for size in REFERENCE.values()]
    none = SignalLayout(no_instances(0), np.full(len(town.map.signals), -1), np.zeros(0, np.int64))
    names = {name: k for k, name in enumerate(REFERENCE)}
    library = compile_library(shapes)
    return CpuRenderer(replace(town, library=library, names=names, fixed=no_instances(0), signals=none))


def world(*placed: tuple[int, float, float], size=BOX) -> WorldState:
    """Boxes as (id, x of the near face, y of the middle), and a camera at the origin that looks along x."""
    count = len(placed)
    agents = Agents(
        id=np.array([k for k, _, _ in placed], dtype=np.int64), kind=np.full(count, int(AgentKind.VAN)),
        xyz=np.array([(x + 0.5 * size[0], y, 0.0) for _, x, y in placed]).reshape(-1, 3), yaw_rad=np.zeros(count),
        speed_mps=np.zeros(count), accel_mps2=np.zeros(count), size_lwh=np.tile(size, (count, 1)),
        lane=np.full(count, -1), s_m=np.zeros(count), valid=np.ones(count, dtype=bool),
    )  # fmt: skip
    return WorldState(0, EgoState(0, np.zeros(3), quat_from_yaw(0.0), np.zeros(3)), agents, np.zeros(99, np.int64))


@pytest.fixture(autouse=True)
def flat(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(CpuRenderer, "_slopes", lambda self, state: np.zeros(len(state.agents.id)))


def test_a_box_in_front_hides_the_half_that_it_covers(boxes: CpuRenderer):
    seen = visible(world((7, 20.0, 0.0), (8, 10.0, 1.0)), boxes, Rig((AHEAD,)))
    assert seen.targets == ("agent:7", "agent:8") and seen.cameras == ("ahead",)
    assert seen.label.tolist() == [AGENT_BASE, AGENT_BASE + 1]
    # the far face is 2 m wide and high at 20 m: 20 x 20 pixels; the near box covers all left of the middle
    assert seen.alone[0, 0] == 400 and seen.shown[0, 0] == 200
    assert seen.hidden[0, 0] == 0.5 and seen.hidden[1, 0] == 0.0
    assert seen.shown[1, 0] == seen.alone[1, 0] == 40 * 40


@pytest.mark.parametrize(("distance_m", "tolerance"), [(60.0, 0.04), (150.0, 0.05), (400.0, 0.06)])
def test_the_share_holds_for_things_of_few_pixels_or_none(boxes: CpuRenderer, distance_m: float, tolerance: float):
    middle = 0.3  # off the axis, so that pixels and edges do not fall together
    half = visible(world((7, distance_m, middle), (8, 10.0, 1.0 + middle * 10.0 / distance_m)), boxes, Rig((AHEAD,)))
    side_px = 400.0 / distance_m
    row = half.row("agent:7")
    assert half.area_alone[row, 0] == pytest.approx(side_px**2, rel=0.08)
    assert half.hidden[row, 0] == pytest.approx(0.5, abs=tolerance)


def test_hidden_wholly_and_not_in_the_picture_are_told_apart(boxes: CpuRenderer):
    behind = pinhole_camera("back", 400, 300, 90.0, mount_transform((0.0, 0.0, HEIGHT_M), 180.0))
    seen = visible(world((7, 20.0, 0.0), (8, 10.0, 0.0), (9, -30.0, 80.0)), boxes, Rig((AHEAD, behind)))
    assert seen.hidden[seen.row("agent:7"), 0] == 1.0 and seen.alone[seen.row("agent:7"), 0] == 400
    assert np.isnan(seen.hidden[:, 1]).all() and not seen.shown[:, 1].any()
    assert seen.row("agent:9") == -1


def test_a_box_across_the_whole_picture_is_counted_by_tiles(boxes: CpuRenderer):
    seen = visible(world((7, 2.0, 0.0), size=(1.0, 40.0, 30.0)), boxes, Rig((AHEAD,)))
    # from 1 m above its foot to the upper edge: at 2 m the foot is 100 pixels below the middle of 300
    assert seen.alone[0, 0] == seen.shown[0, 0] == 400 * 250 and seen.hidden[0, 0] == 0.0


def test_counts_are_those_of_the_pictures(town: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    renderer, state = CpuRenderer(town), make_scenario("built:four_way", 1).initial
    cameras = rig(width=160, height=90)
    seen = visible(state, renderer, cameras)
    for c, frame in enumerate(renderer.render(state, cameras)):
        pixels = np.bincount(frame.instance.reshape(-1), minlength=65_536)
        assert np.array_equal(pixels[seen.label], seen.shown[:, c])
        assert pixels[1:].sum() == seen.shown[:, c].sum()
    assert (seen.alone >= seen.shown).all() and (seen.area_alone >= seen.area_shown).all()
    assert any(k >= SIGNAL_BASE for k in seen.label) and (seen.hidden > 0.0).any()
    again = visible(state, CpuRenderer(town), cameras)
    assert np.array_equal(again.area_shown, seen.area_shown) and again.targets == seen.targets


def test_shares_of_small_things_agree_with_a_picture_of_many_more_pixels(town: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    finest = town.library._replace(switch_px=np.zeros_like(town.library.switch_px))  # both draw the same triangles
    renderer, state = CpuRenderer(replace(town, library=finest)), make_scenario("built:four_way", 1).initial
    names = ("camera_front_wide_120fov",)
    coarse, fine = (visible(state, renderer, rig(names, 160 * k, 90 * k)) for k in (1, 8))
    rows = [(k, fine.row(target)) for k, target in enumerate(coarse.targets)]
    small = [(k, n) for k, n in rows if 2.0 < coarse.area_alone[k, 0] < 100.0 and fine.alone[n, 0] > 100]
    assert len(small) > 3
    for k, n in small:
        assert coarse.area_alone[k, 0] == pytest.approx(fine.alone[n, 0] / 64.0, rel=0.12)
        assert coarse.hidden[k, 0] == pytest.approx(fine.hidden[n, 0], abs=0.08)


def test_no_post_stands_before_the_face_that_it_carries(town: Scene):
    poles = town.fixed.semantic == Semantic.POLE
    layout, renderer = town.signals, CpuRenderer(replace(town, fixed=Instances(*(part[poles] for part in town.fixed))))
    near = pinhole_camera("near", 200, 150, 40.0, mount_transform((0.0, 0.0, 0.0), 0.0))
    for k in np.flatnonzero(layout.row_of >= 0):
        signal = town.map.signals[k]
        look = np.array([np.cos(signal.yaw_rad), np.sin(signal.yaw_rad), 0.0])
        ego = EgoState(0, signal.xyz + 8.0 * look, quat_from_yaw(signal.yaw_rad + np.pi), np.zeros(3))
        empty = replace(world(), ego=ego, signals=np.zeros(len(town.map.signals), np.int64))
        seen = visible(empty, renderer, Rig((near,)))
        row = seen.row(f"signal:{k}")
        assert seen.alone[row, 0] > 200 and seen.hidden[row, 0] == 0.0, signal.id
