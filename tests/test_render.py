"""Pictures against geometry that is known exactly, and against what a driver must be able to read in them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from cordillera.geometry import quat_from_yaw
from cordillera.sensors.classes import AGENT_BASE, SEMANTIC_OF, SIGNAL_BASE, Semantic
from cordillera.sensors.light import light_of
from cordillera.sensors.mesh import box
from cordillera.sensors.render import CameraFrame, CpuRenderer, RenderConfig, warm_up
from cordillera.sensors.render_geometry import part_of, room_for, view_of
from cordillera.sensors.render_raster import Buffers, lens_of, look, room_for_buffers
from cordillera.sensors.rig import mount_transform, pinhole_camera, ray_table, rig
from cordillera.sensors.scene import Scene, build_scene
from cordillera.sensors.scene_agents import REFERENCE, agent_prototypes, mesh_name
from cordillera.sensors.scene_arrays import Instances, Library, Prototype, compile_library, no_instances, yaw_axes
from cordillera.sensors.textures import sign_names
from cordillera.types import (
    AgentKind,
    Agents,
    Camera,
    EgoState,
    Float,
    LightState,
    Rig,
    Weather,
    WorldState,
)
from cordillera.world.maps import load_map

WIDE, TELE = "camera_front_wide_120fov", "camera_front_tele_30fov"
BOX = compile_library([Prototype((box((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),), (0.0,))])
LENSES = [*rig(width=160, height=90).cameras, pinhole_camera("pinhole", 120, 90, 80.0, np.eye(4))]
LIGHT = 8  # of the four-way crossing: at (14.5, 4.1, 2.9), seen by those who come along y = 1.75 with falling x


@pytest.fixture(scope="module")
def town() -> Scene:
    return build_scene(load_map("built:four_way"))


@pytest.fixture(scope="module")
def renderer(town: Scene) -> CpuRenderer:
    return CpuRenderer(town)


def state_at(town: Scene, x: float, y: float, yaw: float, agents: Agents | None = None, light: int = 0) -> WorldState:
    """The ego at a place, with agents, all lights in one state, at 0.1 s."""
    ego = EgoState(100_000, np.array([x, y, 0.0]), quat_from_yaw(yaw), np.zeros(3))
    signals = np.full(len(town.map.signals), light, dtype=np.int64)
    return WorldState(100_000, ego, agents if agents is not None else standing(), signals)


def standing(*placed: tuple[AgentKind, float, float, float], **columns) -> Agents:
    """Agents of ordinary size at (kind, x, y, yaw); other columns as given."""
    n = len(placed)
    kinds = [kind for kind, *_ in placed]
    sizes = [REFERENCE[mesh_name(kind, 1, np.array([4.6, 1.8, 1.4]))] for kind in kinds]
    values = {
        "id": np.arange(1, n + 1), "kind": np.array([int(k) for k in kinds], dtype=np.int64),
        "xyz": np.array([(x, y, 0.0) for _, x, y, _ in placed]).reshape(-1, 3),
        "yaw_rad": np.array([yaw for *_, yaw in placed]), "speed_mps": np.full(n, 5.0), "accel_mps2": np.zeros(n),
        "size_lwh": np.array(sizes).reshape(-1, 3), "lane": np.full(n, -1), "s_m": np.zeros(n),
        "valid": np.ones(n, dtype=bool),
    }  # fmt: skip
    return Agents(**(values | columns))


def seen_alone(library: Library, item: Instances, camera: Camera) -> Buffers:
    """One instance in front of a camera whose frame is the world's."""
    lens = lens_of(camera)
    view = view_of(camera, np.eye(4), lens.theta_edge, lens.theta_limit)
    drawn, buffers = room_for(20_000, 4, 20_000), room_for_buffers(view, 20_000)
    nothing = part_of(library, no_instances(0))
    look(library, part_of(library, item), nothing, nothing, view, lens, 1000.0, drawn, buffers)
    return buffers


def placed_box(size: Float, yaw: float, xyz: Float) -> Instances:
    """The unit box, scaled and turned about the world's z axis."""
    one = no_instances(1)
    one.scale[0], one.axes[0], one.xyz[0] = size, yaw_axes(np.array([yaw]))[0], xyz
    return one


def box_distance(rays: Float, size: Float, yaw: float, xyz: Float, grow: float = 0.0) -> Float:
    """Unit rays (H, W, 3) from the origin -> distances to a box by slabs, inf where it is missed."""
    axes = yaw_axes(np.array([yaw]))[0]
    origin, direction = -xyz @ axes, rays @ axes
    half = 0.5 * size * (1.0 + grow)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (-half - origin) / direction, (half - origin) / direction
    near, far = np.minimum(a, b).max(axis=-1), np.maximum(a, b).min(axis=-1)
    return np.where((near <= far) & (near > 0.0), near, np.inf)


@settings(max_examples=60, deadline=None)
@given(
    lens=st.integers(0, len(LENSES) - 1), off=st.floats(0.0, 1.2), around=st.floats(-math.pi, math.pi),
    distance=st.floats(3.0, 60.0), yaw=st.floats(-math.pi, math.pi),
    size=st.tuples(*[st.floats(0.3, 4.0)] * 3),
)  # fmt: skip
def test_a_box_covers_the_pixels_that_the_lens_says_at_the_distance_along_the_ray(
    lens: int, off: float, around: float, distance: float, yaw: float, size: tuple[float, float, float]
):
    camera, rays = LENSES[lens], ray_table(LENSES[lens])
    middle = (distance + max(size)) * np.array(
        [math.sin(off) * math.cos(around), math.sin(off) * math.sin(around), math.cos(off)]
    )
    buffers = seen_alone(BOX, placed_box(np.array(size), yaw, middle), camera)
    # a pixel whose ray passes an edge within a ten-thousandth of the box may fall either way in single precision
    sure = np.isfinite(box_distance(rays, np.array(size), yaw, middle, -1e-4))
    possible = np.isfinite(box_distance(rays, np.array(size), yaw, middle, 1e-4))
    drawn = buffers.seen >= 0
    assert (drawn[sure]).all() and not drawn[~possible].any()
    exact = box_distance(rays, np.array(size), yaw, middle)
    both = drawn & np.isfinite(exact)
    np.testing.assert_allclose(1.0 / buffers.inverse[both], exact[both], rtol=2e-4)


def test_flat_road_lies_at_the_depth_of_the_plane(town: Scene, renderer: CpuRenderer):
    for name in (WIDE, "camera_cross_left_120fov"):
        (camera,) = rig((name,), 160, 90).cameras
        (frame,) = renderer.render(state_at(town, 60.0, 1.75, math.pi), Rig((camera,)))
        down = (ray_table(camera) @ camera.tf_rig_camera[:3, :3].T)[..., 2]
        road = (frame.semantic == Semantic.ROAD) & (frame.depth < 60.0)
        assert road.sum() > 500
        np.testing.assert_allclose(frame.depth[road], camera.tf_rig_camera[2, 3] / -down[road], rtol=0.02)
        assert np.isinf(frame.depth[frame.semantic == Semantic.SKY]).all()
        assert (frame.instance[frame.semantic == Semantic.SKY] == 0).all()


def test_agents_are_drawn_where_they_are_with_their_number_and_class(town: Scene, renderer: CpuRenderer):
    placed = (
        (AgentKind.CAR, 50.0, 1.75, math.pi), (AgentKind.PEDESTRIAN, 48.0, 5.0, 0.0),
        (AgentKind.TRUCK, 35.0, -1.75, 0.0), (AgentKind.BICYCLE, 46.0, -3.2, 0.0),
    )  # fmt: skip
    state = state_at(town, 65.0, 1.75, math.pi, standing(*placed))
    (camera,) = rig((WIDE,), 320, 180).cameras
    (frame,) = renderer.render(state, Rig((camera,)))
    points = (ray_table(camera) @ camera.tf_rig_camera[:3, :3].T) * frame.depth[..., None] + camera.tf_rig_camera[:3, 3]
    for row, (kind, x, y, _) in enumerate(placed):
        mine = frame.instance == AGENT_BASE + row
        assert mine.sum() > 40, kind.name
        assert set(np.unique(frame.semantic[mine])) <= {SEMANTIC_OF[kind], Semantic.RIDER}
        ahead, left = 65.0 - x, 1.75 - y  # in the rig frame of an ego that looks along -x
        reach = 0.5 * np.hypot(*state.agents.size_lwh[row, :2]) + 0.4
        assert np.hypot(points[mine][:, 0] - ahead, points[mine][:, 1] - left).max() < reach, kind.name
        assert points[mine][:, 2].min() > -0.1 and points[mine][:, 2].max() < state.agents.size_lwh[row, 2] + 0.5


def test_every_kind_shows_in_a_picture(town: Scene, renderer: CpuRenderer):
    camera = pinhole_camera("ahead", 320, 180, 60.0, mount_transform((0.0, 0.0, 1.6), 0.0, 4.0))
    for kind in AgentKind:
        gap = 40.0 if kind in (AgentKind.TRAIN, AgentKind.TRAM) else 9.0
        state = state_at(town, 100.0, 1.75, math.pi, standing((kind, 100.0 - gap, 1.75, 0.6)))
        (frame,) = renderer.render(state, Rig((camera,)))
        mine = frame.instance == AGENT_BASE
        assert mine.sum() >= 20, kind.name
        assert (frame.semantic[mine] == SEMANTIC_OF[kind]).mean() > 0.3, kind.name


def test_the_same_state_gives_the_same_bytes(town: Scene, renderer: CpuRenderer):
    placed = ((AgentKind.CAR, 40.0, 1.75, math.pi), (AgentKind.PEDESTRIAN, 45.0, 5.0, 1.0))
    state, cameras = state_at(town, 70.0, 1.75, math.pi, standing(*placed), 1), rig((WIDE, TELE), 160, 90)
    first = renderer.render(state, cameras)
    renderer.render(state_at(town, 20.0, -1.75, 0.0), cameras)  # whatever was drawn in between
    for other in (renderer, CpuRenderer(town), CpuRenderer(town, RenderConfig(threads=2))):
        for a, b in zip(first, other.render(state, cameras), strict=True):
            for channel in ("rgb", "semantic", "instance", "depth"):
                assert getattr(a, channel).tobytes() == getattr(b, channel).tobytes(), channel


def luminance(frame: CameraFrame) -> Float:
    return frame.rgb.astype(float) @ [0.2126, 0.7152, 0.0722]


def test_night_is_dark_fog_hides_what_is_far_and_rain_makes_roads_mirror(town: Scene):
    state, cameras = state_at(town, 80.0, 1.75, math.pi), rig((WIDE,), 160, 90)

    def under(weather: Weather, hour: float) -> CameraFrame:
        return CpuRenderer(replace(town, light=light_of(weather, hour, 0))).render(state, cameras)[0]

    noon, night, fog = under(Weather.CLEAR, 12.0), under(Weather.CLEAR, 23.0), under(Weather.FOG, 12.0)
    cloudy, rain = under(Weather.CLOUDY, 12.0), under(Weather.RAIN, 12.0)
    for frame in (night, fog, rain):  # the truth about the scene is the same in every light
        assert np.array_equal(frame.depth, noon.depth) and np.array_equal(frame.instance, noon.instance)
    assert luminance(night).mean() < 0.5 * luminance(noon).mean()
    far = (noon.depth > 90.0) & np.isfinite(noon.depth)
    assert luminance(fog)[far].std() < 0.3 * luminance(noon)[far].std()
    near = (noon.semantic == Semantic.ROAD) & (noon.depth < 5.0)
    grazing = (noon.semantic == Semantic.ROAD) & (noon.depth > 25.0) & (noon.depth < 60.0)
    relief = [luminance(frame)[grazing].mean() / luminance(frame)[near].mean() for frame in (cloudy, rain)]
    assert relief[1] > 1.15 * relief[0], "a wet road mirrors most where it is seen at a grazing angle"
    assert luminance(rain)[near].mean() < luminance(cloudy)[near].mean(), "wet asphalt is darker"


def test_head_lamps_light_the_road_ahead_at_night(town: Scene):
    dark = CpuRenderer(replace(town, light=light_of(Weather.CLEAR, 23.0, 0)))
    (frame,) = dark.render(state_at(town, 80.0, 1.75, math.pi), rig((WIDE,), 160, 90))
    x = np.arange(160)[None, :] + np.zeros((90, 1))
    road = (frame.semantic == Semantic.ROAD) & (frame.depth > 8.0) & (frame.depth < 16.0)
    middle, side = road & (abs(x - 80) < 12), road & (abs(x - 80) > 45)
    linear = luminance(frame) ** 2.2  # bytes are sRGB
    assert linear[middle].mean() > 2.0 * linear[side].mean()


@pytest.mark.parametrize("hour", [12.0, 22.0], ids=["noon", "night"])
def test_brake_lights_and_blinkers_show(town: Scene, hour: float):
    lit = CpuRenderer(replace(town, light=light_of(Weather.CLEAR, hour, 0)))
    cameras = rig((TELE,), 320, 180)

    def rear(accel: float, blinker: int) -> Float:
        columns = {"accel_mps2": np.array([accel]), "blinker": np.array([blinker])}
        agents = standing((AgentKind.CAR, 65.0, 1.75, math.pi), **columns)
        (frame,) = lit.render(state_at(town, 80.0, 1.75, math.pi, agents), cameras)
        return np.where((frame.instance == AGENT_BASE)[..., None], frame.rgb.astype(float), 0.0)

    plain, brakes, left, right = rear(0.0, 0), rear(-3.0, 0), rear(0.0, 1), rear(0.0, -1)
    redder = (brakes - plain)[..., 0]
    assert (redder > 40.0).sum() > 10, "also beside tail lamps that are lit"
    for lamp, side in ((left, slice(0, 160)), (right, slice(160, 320))):
        gain = np.clip((lamp - plain)[..., 0], 0.0, None)
        assert gain[:, side].sum() > 0.9 * gain.sum() > 100.0


@pytest.mark.parametrize(("weather", "hour"), [("clear", 12.0), ("clear", 18.0), ("clear", 23.0), ("rain", 14.0)])
def test_a_light_at_sixty_metres_can_be_read_in_the_tele_camera(town: Scene, weather: str, hour: float):
    drawn = CpuRenderer(replace(town, light=light_of(Weather(weather), hour, 0)))
    cameras = rig((TELE,), 320, 180)
    lamps = {}
    for light in (LightState.OFF, LightState.RED, LightState.AMBER, LightState.GREEN):
        (frame,) = drawn.render(state_at(town, 74.5, 1.75, math.pi, light=int(light)), cameras)
        mine = binary_erosion(frame.instance == SIGNAL_BASE + LIGHT)  # its rim mixes with what is behind
        assert mine.sum() >= 8
        rgb = frame.rgb[mine].astype(float)
        rows = np.nonzero(mine)[0]
        brightest = np.argsort(rgb.max(axis=1))[-3:]
        lamps[light] = rgb[brightest].mean(axis=0), (rows[brightest].mean() - rows.min()) / np.ptp(rows)
    assert lamps[LightState.OFF][0].max() < 140.0
    (red, high), (amber, _), (green, low) = (lamps[k] for k in (LightState.RED, LightState.AMBER, LightState.GREEN))
    assert red[0] > 150.0 and red[0] > 2.0 * red[1]
    assert green[1] > 150.0 and green[1] > 2.0 * green[0]
    assert amber[0] > 150.0 and 0.35 < amber[1] / amber[0] < 0.95 and amber[2] < 0.7 * amber[1]
    assert high < 0.45 and low > 0.55, "and its place in the housing agrees"


def test_signs_can_be_told_apart(town: Scene):
    names = [
        "regulatory--stop--g1", "regulatory--yield--g1", "regulatory--priority-road--g1", "warning--roadworks--g1",
        *(f"regulatory--maximum-speed-limit-{limit}--g1" for limit in (30, 50, 80)),
    ]  # fmt: skip
    (camera,) = rig((TELE,), 320, 180).cameras
    layout, pictures = town.signals, []
    row = int(layout.row_of[2])  # a sign at (4.1, 19.5) that faces those who come along -y
    for name in names:
        items = layout.items._replace(proto=layout.items.proto.copy(), seed=layout.items.seed.copy())
        items.proto[row], items.seed[row] = town.names[f"sign:{sign_names()[name]}"], sign_names()[name]
        scene = replace(town, signals=replace(layout, items=items))
        yaw = town.map.signals[2].yaw_rad + math.pi
        x, y = town.map.signals[2].xyz[:2] - 17.0 * np.array([math.cos(yaw), math.sin(yaw)])
        (frame,) = CpuRenderer(scene).render(state_at(town, x, y, yaw), Rig((camera,)))
        rows, columns = np.nonzero(frame.instance == SIGNAL_BASE + 2)
        assert len(rows) > 150, name
        i, j = int(rows.mean()), int(columns.mean())
        pictures.append(frame.rgb[i - 10 : i + 10, j - 10 : j + 10].astype(float))
    for a in range(len(names)):
        for b in range(a):
            assert abs(pictures[a] - pictures[b]).mean() > 6.0, (names[a], names[b])


def test_walkers_move_their_limbs_as_they_go(town: Scene, renderer: CpuRenderer):
    camera = pinhole_camera("side", 160, 120, 40.0, mount_transform((0.0, 0.0, 1.0), 0.0))

    def outline(x: float, speed: float) -> np.ndarray:
        walker = standing((AgentKind.PEDESTRIAN, x, -3.0, 0.0), speed_mps=np.array([speed]))
        (frame,) = renderer.render(state_at(town, x, -9.0, 0.5 * math.pi, walker), Rig((camera,)))
        return frame.instance == AGENT_BASE

    walking = [outline(60.0 + 0.18 * k, 1.4) for k in range(8)]
    widths = [np.ptp(np.nonzero(w)[1]) for w in walking]
    assert max(widths) > 1.3 * min(widths)
    still = outline(60.0, 0.0)
    assert abs(int(still.sum()) - int(outline(60.18, 0.0).sum())) < 0.03 * still.sum()


@pytest.mark.parametrize("name", ["sedan", "hatch", "suv", "van", "bus", "truck", "tram", "trailer", "school-bus"])
def test_bodies_of_vehicles_have_no_holes(name: str):
    """Where a ray meets the inside of a body before its outside, the body is open there."""
    finest = agent_prototypes()[name].meshes[0]
    turned = replace(finest, tri=np.ascontiguousarray(finest.tri[:, ::-1]))
    shells = [compile_library([Prototype((mesh,), (0.0,))]) for mesh in (finest, turned)]
    length = float(np.ptp(finest.xyz[:, 0]))
    camera = pinhole_camera("round", 240, 160, 40.0, np.eye(4))
    c, s = math.cos(0.2), math.sin(0.2)
    looks_down = np.array([[0.0, -1.0, 0.0], [-s, 0.0, -c], [c, 0.0, -s]])  # forward, left, up -> the camera's frame
    for yaw in np.arange(0.2, 6.2, 0.75):
        item = placed_box(np.ones(3), 0.0, np.array([0.0, 1.0, 3.0 + 1.3 * length]))
        item.axes[0] = looks_down @ yaw_axes(np.array([yaw]))[0]
        outside, inside = (seen_alone(shell, item, camera) for shell in shells)
        body = outside.seen >= 0
        assert body.sum() > 300
        open_there = inside.inverse > outside.inverse * 1.002 + 1e-6
        assert open_there.sum() <= 0.004 * body.sum(), f"{name} from {yaw:.2f} rad"


def test_warming_up_draws_and_tells_the_time(town: Scene, renderer: CpuRenderer):
    said: list[str] = []
    (camera,) = rig((WIDE,), 64, 36).cameras
    assert warm_up(renderer, state_at(town, 60.0, 1.75, math.pi), camera, said.append) >= 0.0
    assert said == [] or "compiling" in said[0]
