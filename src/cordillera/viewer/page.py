"""A rollout, its map and its metrics in; one self-contained page out, which works offline and from a folder."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cordillera.types import MetricResult, RoadMap, Rollout
from cordillera.viewer.page_data import Json, ending, facts, page_data, title

HERE = Path(__file__).parent
SCRIPTS = ("page_map.js", "page_plots.js", "page.js")
EMBED_BYTES = 25_000_000  # larger videos stay beside the page


@dataclass(frozen=True)
class Extra:
    """More for a page: cards, the script that fills them (after the page's own), their style, and what they show."""

    cards: str  # HTML
    script: str
    style: str
    data: Json  # joins the page's own values
    facts: tuple[tuple[str, str], ...] = ()  # go before the page's own
    title: str = ""  # in place of the map's name


def write_page(
    rollout: Rollout,
    road_map: RoadMap,
    metrics: Sequence[MetricResult],
    folder: Path,
    video: str = "drive.mp4",
    cameras: str = "",
    extra: Extra | None = None,
) -> Path:
    """Write `folder/index.html` and return its path.

    `video` and `cameras` name MP4 files in `folder`: the view, and a second one that plays below it ("" for none).
    Videos of less than 25 MB go into the page, larger ones are played from beside it. Raises ValueError where the
    map is not the rollout's.
    """
    if rollout.scenario.map_sha256 and road_map.sha256 and rollout.scenario.map_sha256 != road_map.sha256:
        raise ValueError(f"{folder}: the rollout was driven on {rollout.scenario.map}, not on the map {road_map.name}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    extra = extra or Extra("", "", "", {})
    script = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS) + extra.script
    style = (HERE / "page.css").read_text(encoding="utf-8") + extra.style
    words, mood = ending(rollout)
    values = {
        "policy": _policy(script, style),
        "title": html.escape(extra.title or title(rollout)),
        "ending": html.escape(words),
        "mood": mood,
        "facts": "".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
            for name, value in (*extra.facts, *facts(rollout, road_map))
        ),
        "style": style,
        "data": as_script(page_data(rollout, road_map, metrics) | extra.data),
        "cards": extra.cards,
        "videos": _video(folder, video, "video-source") + _video(folder, cameras, "cameras-source"),
        "script": script,
    }
    template = (HERE / "page.html").read_text(encoding="utf-8")
    # One pass over the template, so that a value that looks like a place to fill is left alone.
    text = re.sub(r"@@(\w+)@@", lambda match: values[match[1]], template)
    path = folder / "index.html"
    part = folder / ".index.html.part"
    part.write_bytes(text.encode("utf-8", "replace"))  # file names may hold what UTF-8 cannot
    part.replace(path)
    return path


def as_script(value: object) -> str:
    """A value -> JSON that stays inside a script element, whatever its strings hold; ValueError for NaN."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _video(folder: Path, name: str, element: str) -> str:
    """The element that holds a video, or its address, for the script to play; "" where there is none."""
    path = folder / name
    if not name or not path.is_file():
        return ""
    if path.stat().st_size < EMBED_BYTES:
        return f'<script type="text/plain" id="{element}">{base64.b64encode(path.read_bytes()).decode()}</script>'
    return f'<script type="text/plain" id="{element}" data-file="{html.escape(quote(name))}"></script>'


def _policy(script: str, style: str) -> str:
    """A policy under which only the page's own script runs and nothing is fetched but a video beside the page."""

    def seal(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {seal(script)}; style-src {seal(style)}; img-src data:; "
        "media-src blob: 'self' file:; base-uri 'none'; form-action 'none'"
    )
