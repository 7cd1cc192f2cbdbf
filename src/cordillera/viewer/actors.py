"""Moving things and light from above: poses in, strokes on a canvas out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cordillera.types import AgentKind, Float, LightState

Image = NDArray[np.uint8]
Color = tuple[int, int, int]
SHIFT = 4

EGO: Color = (38, 132, 255)
BODY: dict[AgentKind, Color] = {
    AgentKind.VAN: (236, 232, 224),
    AgentKind.TRUCK: (214, 196, 160),
    AgentKind.BUS: (222, 178, 66),
    AgentKind.TRAM: (206, 208, 212),
    AgentKind.AMBULANCE: (250, 240, 232),
    AgentKind.POLICE_CAR: (216, 224, 240),
    AgentKind.FIRE_ENGINE: (204, 58, 48),
}
CARS: tuple[Color, ...] = (
    (226, 228, 232),
    (60, 66, 76),
    (150, 156, 164),
    (176, 62, 58),
    (74, 108, 156),
    (196, 186, 168),
    (92, 118, 102),
)
PEOPLE: tuple[Color, ...] = ((206, 92, 72), (72, 116, 190), (226, 176, 72), (112, 92, 146), (70, 140, 120))
LIGHTS: dict[LightState, Color] = {
    LightState.RED: (255, 66, 56),
    LightState.RED_AMBER: (255, 120, 40),
    LightState.AMBER: (255, 190, 40),
    LightState.GREEN: (60, 220, 110),
    LightState.FLASHING_AMBER: (255, 190, 40),
    LightState.FLASHING_RED: (255, 66, 56),
}
GLASS: Color = (44, 54, 66)
BRAKE: Color = (255, 48, 40)
BLINK: Color = (255, 176, 40)
OUTLINE: Color = (36, 40, 46)


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture and the affine view (2, 3) of the world that it shows."""

    image: Image
    tf_screen_world: Float

    @property
    def scale(self) -> float:
        """Pixels a metre."""
        return float(math.hypot(self.tf_screen_world[0, 0], self.tf_screen_world[0, 1]))

    def pixels(self, xy: Float) -> Float:
        """World points (..., 2) -> pixels (..., 2)."""
        return np.asarray(xy) @ self.tf_screen_world[:, :2].T + self.tf_screen_world[:, 2]

    def _points(self, xy: Float) -> NDArray[np.int32]:
        return np.round(self.pixels(xy) * (1 << SHIFT)).astype(np.int32)

    def fill(self, xy: Float, color: Color) -> None:
        cv2.fillPoly(self.image, [self._points(xy)], color, cv2.LINE_AA, SHIFT)

    def line(self, xy: Float, color: Color, width_m: float, closed: bool = False) -> None:
        width = max(1, round(width_m * self.scale))
        cv2.polylines(self.image, [self._points(xy)], closed, color, width, cv2.LINE_AA, SHIFT)

    def disc(self, xy: Float, radius_m: float, color: Color) -> None:
        center = self._points(xy)
        radius = round(radius_m * self.scale * (1 << SHIFT))
        cv2.circle(self.image, (int(center[0]), int(center[1])), radius, color, -1, cv2.LINE_AA, SHIFT)

    def ring(self, xy: Float, radius_m: float, color: Color, width_px: int) -> None:
        center = self._points(xy)
        radius = round(radius_m * self.scale * (1 << SHIFT))
        cv2.circle(self.image, (int(center[0]), int(center[1])), radius, color, width_px, cv2.LINE_AA, SHIFT)

    def sees(self, xy: Float, margin_px: float = 60.0) -> bool:
        """Whether a world point lies in the picture or near it."""
        x, y = self.pixels(xy)
        height, width = self.image.shape[:2]
        return -margin_px < x < width + margin_px and -margin_px < y < height + margin_px


@dataclass(frozen=True)
class Look:
    """What of an agent's motion shows."""

    braking: bool = False
    blinker: int = 0  # 1 left, -1 right, 0 off
    color: Color | None = None


def color_of(kind: AgentKind, identity: int) -> Color:
    """The paint of an agent: by kind, and by identity where kinds vary."""
    if kind in BODY:
        return BODY[kind]
    palette = PEOPLE if kind in (AgentKind.PEDESTRIAN, AgentKind.BICYCLE, AgentKind.WHEELCHAIR) else CARS
    return palette[identity * 2654435761 % 2**32 % len(palette)]


def placed(x: float, y: float, yaw_rad: float, shape: Float) -> Float:
    """A shape (N, 2) in its own frame (x forward, y left) -> world."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([x, y]) + shape @ np.array([[c, s], [-s, c]])


def rounded(length: float, width: float, nose: float) -> Float:
    """A car's outline from above, corners cut by `nose` of the width: (N, 2), x forward."""
    a, b, k = 0.5 * length, 0.5 * width, nose * width
    half = np.array([[a, 0.5 * b], [a - 0.35 * k, b - 0.25 * k], [a - k, b], [-a + 0.6 * k, b], [-a, b - 0.5 * k]])
    return np.concatenate([half, half[::-1] * np.array([1.0, -1.0])])


def draw_vehicle(canvas: Canvas, x: float, y: float, yaw: float, size: Float, kind: AgentKind, look: Look) -> None:
    """One vehicle with shadow, glass, brake lights and blinkers; x, y is the centre of its box."""
    length, width = float(size[0]), float(size[1])
    color = look.color or color_of(kind, 0)
    at = lambda shape: placed(x, y, yaw, np.asarray(shape))  # noqa: E731
    canvas.fill(placed(x + 0.25, y - 0.25, yaw, rounded(length, width, 0.3)), (74, 78, 84))
    box = kind in (AgentKind.TRUCK, AgentKind.BUS, AgentKind.TRAM, AgentKind.TRAILER, AgentKind.FIRE_ENGINE)
    body = at(rounded(length, width, 0.12 if box else 0.34))
    canvas.fill(body, color)
    canvas.line(body, OUTLINE, 0.06, closed=True)
    a, b = 0.5 * length, 0.42 * width
    if box:
        canvas.fill(at([[a - 0.3, b], [a - 0.3, -b], [a - 0.9, -b], [a - 0.9, b]]), GLASS)
        shade = (max(color[0] - 22, 0), max(color[1] - 22, 0), max(color[2] - 22, 0))
        canvas.fill(at([[a - 1.2, b], [a - 1.2, -b], [-a + 0.3, -b], [-a + 0.3, b]]), shade)
    else:
        front, rear = 0.22 * length, -0.30 * length
        canvas.fill(at([[front, b], [front, -b], [front - 0.75, -0.84 * b], [front - 0.75, 0.84 * b]]), GLASS)
        canvas.fill(at([[rear, b], [rear, -b], [rear + 0.5, -0.84 * b], [rear + 0.5, 0.84 * b]]), GLASS)
    for side in (1.0, -1.0):
        tail = [[-a, side * 0.45 * width], [-a, side * 0.2 * width]]
        canvas.line(at(tail), BRAKE if look.braking else (130, 40, 40), 0.34 if look.braking else 0.14)
        if look.blinker * side > 0.0:
            for end in (a - 0.25, -a + 0.1):
                canvas.disc(at([end, side * 0.46 * width]), 0.24, BLINK)


def draw_person(canvas: Canvas, x: float, y: float, yaw: float, color: Color) -> None:
    """A pedestrian: shoulders across the heading, and a head. Drawn a little larger than life, to be seen."""
    turn = np.linspace(0.0, 2.0 * math.pi, 14, endpoint=False)
    shoulders = np.stack([0.28 * np.cos(turn), 0.46 * np.sin(turn)], axis=-1)
    canvas.fill(placed(x, y, yaw, 1.35 * shoulders), OUTLINE)
    canvas.fill(placed(x, y, yaw, 1.1 * shoulders), color)
    canvas.disc(np.array([x, y]), 0.22, (238, 206, 178))


def draw_rider(canvas: Canvas, x: float, y: float, yaw: float, length: float, color: Color) -> None:
    """A bicycle or motorcycle with its rider."""
    canvas.line(placed(x, y, yaw, np.array([[-0.5 * length, 0.0], [0.5 * length, 0.0]])), OUTLINE, 0.16)
    canvas.line(placed(x, y, yaw, np.array([[0.3 * length, 0.3], [0.3 * length, -0.3]])), OUTLINE, 0.1)
    draw_person(canvas, x, y, yaw, color)


def draw_thing(canvas: Canvas, x: float, y: float, yaw: float, size: Float, kind: AgentKind) -> None:
    """Cones, barriers, debris, triangles, trees on the road, animals."""
    if kind == AgentKind.CONE:
        canvas.disc(np.array([x, y]), 0.32, (240, 110, 36))
        canvas.disc(np.array([x, y]), 0.14, (250, 244, 236))
        return
    a, b = 0.5 * float(size[0]), 0.5 * float(size[1])
    if kind == AgentKind.WARNING_TRIANGLE:
        canvas.line(placed(x, y, yaw, np.array([[0.5, 0.0], [-0.4, 0.5], [-0.4, -0.5]])), (226, 50, 44), 0.16, True)
        return
    colors = {AgentKind.FALLEN_TREE: (96, 120, 72), AgentKind.ANIMAL: (142, 104, 72), AgentKind.BARRIER: (226, 90, 60)}
    box = placed(x, y, yaw, np.array([[a, b], [-a, b], [-a, -b], [a, -b]]))
    canvas.fill(box, colors.get(kind, (122, 108, 92)))
    canvas.line(box, OUTLINE, 0.06, closed=True)


def glow(image: Image, x: float, y: float, radius: int, color: Color, strength: float) -> None:
    """Add light that falls off around a pixel."""
    height, width = image.shape[:2]
    x0, x1 = max(0, int(x) - radius), min(width, int(x) + radius + 1)
    y0, y1 = max(0, int(y) - radius), min(height, int(y) + radius + 1)
    if x0 >= x1 or y0 >= y1:
        return
    dy, dx = np.ogrid[y0 - y : y1 - y, x0 - x : x1 - x]
    fall = np.clip(1.0 - np.sqrt(dx * dx + dy * dy) / radius, 0.0, 1.0)[: y1 - y0, : x1 - x0, None]
    region = image[y0:y1, x0:x1].astype(np.float32)
    image[y0:y1, x0:x1] = np.clip(region + strength * fall**2 * np.array(color), 0, 255).astype(np.uint8)
