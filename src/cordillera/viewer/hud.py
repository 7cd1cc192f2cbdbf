"""Text and panels: words in, translucent pictures to lay over a frame out. Pictures are cached by their content."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

Image = NDArray[np.uint8]
Rgba = NDArray[np.uint8]  # (H, W, 4), colour not multiplied by alpha
Color = tuple[int, int, int]

PANEL = (18, 22, 28, 205)
TEXT = (244, 246, 248, 255)
DIM = (168, 178, 190, 255)


@lru_cache(maxsize=32)
def font(size: int, strong: bool = False) -> ImageFont.FreeTypeFont:
    """Inter in a size of pixels."""
    name = "Inter-SemiBold.otf" if strong else "Inter-Regular.otf"
    return ImageFont.truetype(str(files("cordillera") / "assets" / "fonts" / name), size)


def lay(image: Image, overlay: Rgba, x: int, y: int) -> None:
    """Blend an overlay into a picture with its upper left corner at (x, y); what sticks out is cut."""
    height, width = image.shape[:2]
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(width, x + overlay.shape[1]), min(height, y + overlay.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = overlay[y0 - y : y1 - y, x0 - x : x1 - x]
    under = image[y0:y1, x0:x1]
    alpha = cv2.cvtColor(part[..., 3], cv2.COLOR_GRAY2RGB)
    over = cv2.multiply(part[..., :3], alpha, scale=1.0 / 255.0)
    image[y0:y1, x0:x1] = cv2.add(over, cv2.multiply(under, 255 - alpha, scale=1.0 / 255.0))


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Words -> lines that are no wider than `width` pixels, if no single word is."""
    lines: list[str] = []
    for word in text.split():
        if lines and face.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


@lru_cache(maxsize=128)
def _ground(width: int, height: int, fill: tuple[int, int, int, int]) -> PilImage.Image:
    # Drawn at twice the size, so that the round corners come out smooth.
    big = PilImage.new("RGBA", (2 * width, 2 * height), (fill[0], fill[1], fill[2], 0))
    ImageDraw.Draw(big).rounded_rectangle((0, 0, 2 * width - 1, 2 * height - 1), 28, fill=fill)
    return big.resize((width, height), PilImage.Resampling.LANCZOS)


def _blank(
    width: int, height: int, fill: tuple[int, int, int, int] = PANEL
) -> tuple[PilImage.Image, ImageDraw.ImageDraw]:
    image = _ground(width, height, fill).copy()
    return image, ImageDraw.Draw(image)


@lru_cache(maxsize=256)
def speed_panel(speed: str, unit: str, limit: str) -> Rgba:
    """The speedometer: the speed in large figures, its unit, and the limit as a sign if there is one."""
    image, draw = _blank(196 if limit else 124, 96)
    draw.text((62, 40), speed, TEXT, font(46, True), anchor="mm")
    draw.text((62, 78), unit, DIM, font(15), anchor="mm")
    if limit:
        big = PilImage.new("RGBA", (128, 128), (0, 0, 0, 0))
        pen = ImageDraw.Draw(big)
        pen.ellipse((2, 2, 125, 125), fill=(204, 40, 44, 255))
        pen.ellipse((16, 16, 111, 111), fill=(250, 250, 248, 255))
        pen.text((64, 64), limit, (24, 26, 30, 255), font(44 if len(limit) < 3 else 36, True), anchor="mm")
        sign = big.resize((64, 64), PilImage.Resampling.LANCZOS)
        image.alpha_composite(sign, (116, 16))
    return np.asarray(image)


@lru_cache(maxsize=256)
def words_panel(sentence: str, chips: tuple[tuple[str, Color], ...], width: int) -> Rgba:
    """What the driver says: the decisions as chips, and the sentence below them."""
    face, small = font(24, True), font(14, True)
    lines = wrap(sentence, face, width - 40) or [""]
    image, draw = _blank(width, 52 + 32 * len(lines))
    x = 20
    for text, color in chips:
        span = small.getlength(text) + 20
        draw.rounded_rectangle((x, 12, x + span, 36), 12, fill=(*color, 255))
        draw.text((x + span / 2, 24), text, (16, 20, 26, 255), small, anchor="mm")
        x += round(span) + 8
    for k, line in enumerate(lines):
        draw.text((20, 44 + 32 * k), line, TEXT, face)
    return np.asarray(image)


@lru_cache(maxsize=64)
def caption(title: str, detail: str) -> Rgba:
    """A small panel of two lines: where, and under which conditions."""
    strong, plain = font(19, True), font(14)
    width = round(max(strong.getlength(title), plain.getlength(detail))) + 36
    image, draw = _blank(width, 58)
    draw.text((18, 10), title, TEXT, strong)
    draw.text((18, 34), detail, DIM, plain)
    return np.asarray(image)


@lru_cache(maxsize=256)
def badge(text: str, fill: Color) -> Rgba:
    """One line on a coloured ground."""
    face = font(16, True)
    image, draw = _blank(round(face.getlength(text)) + 32, 34, (*fill, 235))
    draw.text((image.width / 2, 17), text, (16, 20, 26, 255), face, anchor="mm")
    return np.asarray(image)


@lru_cache(maxsize=64)
def label(text: str) -> Rgba:
    """The name of a thing in the picture."""
    face = font(14, True)
    image, draw = _blank(round(face.getlength(text)) + 20, 26, (255, 179, 64, 240))
    draw.text((image.width / 2, 13), text, (28, 20, 8, 255), face, anchor="mm")
    return np.asarray(image)


@lru_cache(maxsize=8)
def scale_bar(pixels: int, text: str) -> Rgba:
    """A bar of so many pixels and what it stands for."""
    image, draw = _blank(pixels + 28, 38)
    draw.line((14, 12, 14 + pixels, 12), TEXT, 3)
    draw.line((14, 7, 14, 17), TEXT, 2)
    draw.line((14 + pixels, 7, 14 + pixels, 17), TEXT, 2)
    draw.text((14 + pixels / 2, 27), text, DIM, font(13), anchor="mm")
    return np.asarray(image)
