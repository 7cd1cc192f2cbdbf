"""Clips of a data set -> a page for each, and one that lists them."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from cordillera.data import layout
from cordillera.data.read import ClipSet, open_set
from cordillera.data.write import put
from cordillera.types import CameraName
from cordillera.viewer.clip_page import ClipView, write_clip_page
from cordillera.world.maps import load_map

STYLE = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:0 auto;padding:20px}"
    "h1{font-size:24px}table{width:100%;border-collapse:collapse}td,th{text-align:left;padding:6px 10px 6px 0;"
    "border-bottom:1px solid #8884;vertical-align:baseline}td:last-child{color:#888}"
)


def view_clips(folder: Path, clips: Sequence[str], output: Path, console: Console | None = None) -> Path:
    """A set, beginnings of clip ids (none: all clips) and a folder -> pages in it; returns the one to open.

    Raises ValueError for ids that no clip has, and for clips without a rollout: pages draw the map and the traffic.
    """
    console = console or Console()
    held = open_set(folder)
    chosen = chosen_clips(held, clips)
    for clip in track(chosen, "pages", console=console, transient=True):
        with tempfile.TemporaryDirectory() as scratch:
            write_clip_page(view_of(held, clip, Path(scratch)), output / clip[:8])
    if len(chosen) == 1:
        return output / chosen[0][:8] / "index.html"
    put(output / "index.html", _listing(held, chosen).encode())
    return output / "index.html"


def chosen_clips(held: ClipSet, clips: Sequence[str]) -> list[str]:
    """Beginnings of ids -> the clips that they name; all of them for none."""
    if not clips:
        return held.clips()
    out = []
    for name in clips:
        found = [clip for clip in held.clips() if clip.startswith(name)]
        if len(found) != 1:
            raise ValueError(f"{held.folder}: {len(found)} clips begin with {name!r}; `data inspect` lists them")
        out += found
    return out


def view_of(held: ClipSet, clip: str, scratch: Path) -> ClipView:
    """A clip of a set -> what its page shows; its videos are unpacked into `scratch`."""
    if not held.has(clip, layout.ROLLOUT.name):
        raise ValueError(f"clip {clip}: holds no rollout, so there is no map and no traffic to draw; view sets of ours")
    rollout = held.rollout(clip, scratch)
    videos = []
    for camera in CameraName:
        if held.has(clip, camera.value):
            path = scratch / f"{camera.value}.mp4"
            path.write_bytes(held.member(clip, camera.value, "video"))
            videos.append((camera.value, path))
    others = held.counterfactuals(clip)
    scenario = rollout.scenario
    title = (scenario.family or scenario.map).replace("_", " ")
    facts = (("Clip", clip), ("Split", held.index[clip][1]), ("Map", scenario.map))
    return ClipView(title, rollout, load_map(scenario.map), tuple(held.said(clip)), others, tuple(videos), facts)


def _listing(held: ClipSet, clips: Sequence[str]) -> str:
    """The page that lists clips with what is said in them first at a keyframe."""
    rows = []
    for clip in clips:
        said = held.said(clip)
        first = next((s for s in said if s.keyframe), said[0] if said else None)
        words = html.escape(first.trace.text) if first else ""
        event = html.escape(first.event) if first else ""
        rows.append(f'<tr><td><a href="{clip[:8]}/index.html">{clip[:8]}</a></td><td>{words}</td><td>{event}</td></tr>')
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = f"<h1>{len(clips)} clips</h1><table>{''.join(rows)}</table>"
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>Clips</title><style>{STYLE}</style></head>'
        f"<body>{body}</body></html>"
    )
