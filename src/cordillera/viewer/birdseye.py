"""A step of a drive -> a frame seen from above, heading up: road, traffic, lights, plan, and the reason in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cordillera.geometry import move_trajectory, transform_of, wrap_angle, yaw_of
from cordillera.types import AgentKind, Float, LightState, RoadMap, Scenario, Step, Weather, WorldState
from cordillera.viewer.actors import (
    EGO,
    LIGHTS,
    Canvas,
    Look,
    color_of,
    draw_person,
    draw_rider,
    draw_thing,
    draw_vehicle,
    glow,
)
from cordillera.viewer.hud import badge, caption, label, lay, scale_bar, speed_panel, words_panel
from cordillera.viewer.map_layer import MapLayer
from cordillera.world.roads import compile_map

Image = NDArray[np.uint8]
MPH_REGIONS = ("US", "GB")
EGO_AT = (0.5, 0.66)  # where in the picture the ego stands
HEADING_TAU_S = 0.6  # the view turns with the car, but softly
CAUSE: tuple[int, int, int] = (255, 166, 38)
CHIP_SPEED = (140, 208, 255)
CHIP_SIDE = (190, 232, 160)
VERDICTS = {"clip": (255, 205, 90), "fallback": (255, 120, 104)}


@dataclass(frozen=True)
class ViewConfig:
    """The size of the frame and how much of the world it shows."""

    width: int = 1280
    height: int = 720
    pixels_per_m: float = 8.0


class BirdsEye:
    """Draws the steps of one drive, in order: the view's heading and the trail follow from the steps before."""

    def __init__(self, scenario: Scenario, road_map: RoadMap, config: ViewConfig | None = None) -> None:
        self.config = config or ViewConfig()
        self._scenario, self._map = scenario, road_map
        self._roads = compile_map(road_map)
        self._layer = MapLayer(road_map)
        self._heading: float | None = None
        self._trail: list[Float] = []

    def draw(self, step: Step) -> Image:
        """One step -> (H, W, 3) RGB."""
        state = step.state
        canvas = self._canvas(state)
        self._route_and_trail(canvas, state)
        self._lights(canvas, state)
        self._plan(canvas, step)
        self._agents(canvas, state)
        self._ego(canvas, step)
        _tint(canvas.image, self._scenario)
        self._shine(canvas, state)
        self._causes(canvas, step)
        self._panels(canvas.image, step)
        return canvas.image

    def _canvas(self, state: WorldState) -> Canvas:
        yaw = float(yaw_of(state.ego.quat_xyzw))
        if self._heading is None:
            self._heading = yaw
        self._heading += (1.0 - math.exp(-0.1 / HEADING_TAU_S)) * float(wrap_angle(yaw - self._heading))
        c, s, k = math.cos(self._heading), math.sin(self._heading), self.config.pixels_per_m
        rotation = k * np.array([[s, -c], [-c, -s]])
        target = np.array([EGO_AT[0] * self.config.width, EGO_AT[1] * self.config.height])
        view = np.column_stack([rotation, target - rotation @ state.ego.xyz[:2]])
        return Canvas(self._layer.view(view, self.config.width, self.config.height), view)

    def _route_and_trail(self, canvas: Canvas, state: WorldState) -> None:
        over = Canvas(canvas.image.copy(), canvas.tf_screen_world)
        if len(self._scenario.route.xyz) > 1:
            over.line(self._scenario.route.xyz[:, :2], (120, 170, 250), 1.5)
        self._trail.append(state.ego.xyz[:2].copy())
        if len(self._trail) > 1:
            over.line(np.array(self._trail[-300:]), (70, 92, 130), 0.35)
        cv2.addWeighted(canvas.image, 0.65, over.image, 0.35, 0.0, dst=canvas.image)

    def _plan(self, canvas: Canvas, step: Step) -> None:
        """The planned path, coloured by its speed from red (standing) over amber to green."""
        plan = step.output.decision.trajectory
        if len(plan.t_us) < 2 or not np.isfinite(plan.xyz).all():
            return
        ego = step.state.ego
        xy = plan.xyz[:, :2]
        if plan.frame == "rig":
            xy = move_trajectory(transform_of(ego.xyz, ego.quat_xyzw), plan, "world").xyz[:, :2]
        xy = np.vstack([ego.xyz[:2], xy])
        speed = np.linalg.norm(np.diff(xy, axis=0), axis=1) / 0.1
        for k in range(0, len(xy) - 1, 2):
            canvas.line(xy[k : k + 3], _speed_color(float(speed[k])), 0.7)

    def _lights(self, canvas: Canvas, state: WorldState) -> None:
        for k, signal in enumerate(self._map.signals):
            color = LIGHTS.get(LightState(int(state.signals[k]))) if k < len(state.signals) else None
            if color is None:
                continue
            for line in signal.stop_lines:
                xy = self._map.stop_lines[line].xyz[:, :2]
                if canvas.sees(xy[0]) and len(xy) > 1:
                    canvas.line(xy, color, 0.55)

    def _shine(self, canvas: Canvas, state: WorldState) -> None:
        """Lights shine after the tint, so that they are bright at night too."""
        for k, signal in enumerate(self._map.signals):
            color = LIGHTS.get(LightState(int(state.signals[k]))) if k < len(state.signals) else None
            if color is None or not canvas.sees(signal.xyz[:2]):
                continue
            x, y = canvas.pixels(signal.xyz[:2])
            glow(canvas.image, float(x), float(y), 26, color, 0.55)
            canvas.disc(signal.xyz[:2], 0.75, (24, 26, 30))
            canvas.disc(signal.xyz[:2], 0.52, color)

    def _agents(self, canvas: Canvas, state: WorldState) -> None:
        agents = state.agents
        for k in np.flatnonzero(agents.valid):
            x, y = float(agents.xyz[k, 0]), float(agents.xyz[k, 1])
            if not canvas.sees(agents.xyz[k, :2], 120.0):
                continue
            kind, yaw, size = AgentKind(int(agents.kind[k])), float(agents.yaw_rad[k]), agents.size_lwh[k]
            color = color_of(kind, int(agents.id[k]))
            if kind in (AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR):
                draw_person(canvas, x, y, yaw, color)
            elif kind in (AgentKind.BICYCLE, AgentKind.MOTORCYCLE):
                draw_rider(canvas, x, y, yaw, float(size[0]), color)
            elif kind == AgentKind.ANIMAL or kind >= AgentKind.CONE:
                draw_thing(canvas, x, y, yaw, size, kind)
            else:
                braking = bool(agents.accel_mps2[k] < -0.6 or abs(agents.speed_mps[k]) < 0.1)
                draw_vehicle(canvas, x, y, yaw, size, kind, Look(braking, int(agents.blinker[k]), color))

    def _ego(self, canvas: Canvas, step: Step) -> None:
        ego, spec = step.state.ego, self._scenario.vehicle
        yaw = float(yaw_of(ego.quat_xyzw))
        x = float(ego.xyz[0] + spec.rear_axle_to_center_m * math.cos(yaw))
        y = float(ego.xyz[1] + spec.rear_axle_to_center_m * math.sin(yaw))
        braking = step.output.controls.accel_mps2 < -0.6 or abs(ego.speed_mps) < 0.1
        blinker = {"left": 1, "right": -1}.get(self._scenario.route.command, 0)
        size = np.array([spec.length_m, spec.width_m, spec.height_m])
        draw_vehicle(canvas, x, y, yaw, size, AgentKind.CAR, Look(braking, blinker, EGO))

    def _causes(self, canvas: Canvas, step: Step) -> None:
        """Ring what the reasoning names, and say what it is."""
        trace, state = step.output.decision.reasoning, step.state
        for cause in trace.causes if trace else ():
            sort, _, key = cause.target.partition(":")
            if not key.isdecimal():
                continue
            if sort == "agent":
                rows = np.flatnonzero(state.agents.valid & (state.agents.id == int(key)))
                if not len(rows):
                    continue
                xy = state.agents.xyz[rows[0], :2]
                radius = 0.5 * float(np.hypot(*state.agents.size_lwh[rows[0], :2])) + 0.7
            elif sort == "signal" and int(key) < len(self._map.signals):
                xy, radius = self._map.signals[int(key)].xyz[:2], 1.4
            else:
                continue
            if canvas.sees(xy, 0.0):
                canvas.ring(xy, radius, CAUSE, 3)
                x, y = canvas.pixels(xy)
                text = label(cause.kind)
                lay(canvas.image, text, int(x - text.shape[1] / 2), int(y - radius * canvas.scale - 32))

    def _panels(self, image: Image, step: Step) -> None:
        scenario, decision = self._scenario, step.output.decision
        height, width = image.shape[:2]
        trace = decision.reasoning
        speed = speed_panel(*self._speeds(step.state))
        lay(image, speed, 20, height - 20 - speed.shape[0])
        chips = []
        if trace and trace.longitudinal:
            chips.append((str(trace.longitudinal.value), CHIP_SPEED))
        if trace and trace.lateral:
            chips.append((str(trace.lateral.value), CHIP_SIDE))
        said = trace.text if trace and trace.text else "This policy gives no reason."
        left = 20 + speed.shape[1] + 14
        words = words_panel(said, tuple(chips), width - left - 20)
        lay(image, words, left, height - 20 - words.shape[0])
        hour = int(scenario.hour), round(scenario.hour % 1.0 * 60) % 60
        detail = f"{scenario.weather.value}, {hour[0]:02d}:{hour[1]:02d}  ·  driver: {decision.policy}"
        lay(image, caption(f"{self._map.name}  ·  seed {scenario.seed}", detail), 20, 20)
        clock = badge(f"{step.state.t_us * 1e-6:.1f} s", (206, 214, 222))
        lay(image, clock, width - 20 - clock.shape[1], 68)
        bar = scale_bar(round(10 * self.config.pixels_per_m), "10 m")
        lay(image, bar, width - 20 - bar.shape[1], 20)
        verdict = step.output.verdict
        if verdict.action in VERDICTS:
            text = f"{verdict.action}: {verdict.reasons[0]}" if verdict.reasons else verdict.action
            mark = badge(text[:90], VERDICTS[verdict.action])
            lay(image, mark, (width - mark.shape[1]) // 2, 24)

    def _speeds(self, state: WorldState) -> tuple[str, str, str]:
        """Speed, unit and limit as the region writes them."""
        miles = self._scenario.region in MPH_REGIONS
        factor, unit = (2.23694, "mph") if miles else (3.6, "km/h")
        ego = state.ego
        at = self._roads.nearest(float(ego.xyz[0]), float(ego.xyz[1]), float(yaw_of(ego.quat_xyzw)))
        limit = self._roads.speed_limit(at.lane, at.s_m) * factor if at else math.nan
        return f"{max(ego.speed_mps, 0.0) * factor:.0f}", unit, f"{limit:.0f}" if 1.0 < limit < 200.0 else ""


def _speed_color(speed_mps: float) -> tuple[int, int, int]:
    stops = np.array([[232, 62, 54], [246, 178, 54], [74, 196, 112]], dtype=np.float64)
    at = min(max(speed_mps / 12.0, 0.0), 1.0) * 2.0
    low = min(int(at), 1)
    r, g, b = stops[low] + (at - low) * (stops[low + 1] - stops[low])
    return int(r), int(g), int(b)


def _tint(image: Image, scenario: Scenario) -> None:
    """Light and weather: dusk is warm, night is dark and blue, rain and clouds take the colour out."""
    light = float(np.interp(scenario.hour, [5.0, 7.5, 17.5, 20.0], [0.0, 1.0, 1.0, 0.0]))
    gain = (1.0 - light) * np.array([0.34, 0.38, 0.50]) + light * np.ones(3)
    gain = gain * {Weather.CLEAR: 1.0, Weather.CLOUDY: 0.95, Weather.RAIN: 0.86, Weather.FOG: 0.96}[scenario.weather]
    if 0.0 < light < 1.0:
        gain = gain * np.array([1.06, 1.0, 0.94])
    if scenario.weather is not Weather.CLEAR:
        gray = image.mean(axis=2, keepdims=True)
        image[:] = (0.72 * image + 0.28 * gray).astype(np.uint8)
    if (gain != 1.0).any():
        image[:] = np.clip(image * gain, 0, 255).astype(np.uint8)
