"""Draw ten reasons with what the car saw: python recipes/trace_picture.py FOLDER [--output FILE].

From a generated set, ten labels of different kinds of cause and different clips. Each picture is drawn anew from the
clip's rollout through the front wide camera, with a frame around every cause that is a thing, the sentence, and what
the removal of each cause changed. They are picked by a rule, not by hand: the largest effect of each kind.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from cordillera.data.clip import Said
from cordillera.data.read import ClipSet, open_set
from cordillera.presets.clip import renderer_of
from cordillera.reasoning.label import KEPT, Tested
from cordillera.sensors.classes import AGENT_BASE, SIGNAL_BASE
from cordillera.sensors.rig import rig
from cordillera.types import CameraName, WorldState

ROOT = Path(__file__).resolve().parents[1]
SIZE, COLUMNS, WORDS_PX, GAP = (480, 270), 2, 104, 6
COUNT = 10
FLAG = (255, 166, 38)


@dataclass(frozen=True, eq=False)
class Pick:
    """One label of one clip."""

    clip: str
    said: Said
    best: Tested


def picks(held: ClipSet) -> list[Pick]:
    """A set -> ten labels: for each kind of cause the one whose removal changes most, from a clip not yet taken.

    Things come before roads. Causes that are things must be well seen: 60 pixels or more, at less than 60 m.
    """
    found: dict[str, list[Pick]] = {}
    for clip in held.clips():
        for said in held.said(clip):
            for t in said.tested:
                thing = t.cause.target.startswith(("agent:", "signal:"))
                if t.verdict == KEPT and (not thing or (t.pixels > 60.0 and t.cause.distance_m < 60.0)):
                    found.setdefault(t.cause.kind, []).append(Pick(clip, said, t))
    out: list[Pick] = []
    order = sorted(
        found, key=lambda kind: (not found[kind][0].best.cause.target.startswith(("agent:", "signal:")), kind)
    )
    for kind in order:
        ranked = sorted(found[kind], key=lambda p: -p.best.effect_mps)
        fresh = next((p for p in ranked if all(p.clip != other.clip for other in out)), None)
        if fresh is not None and len(out) < COUNT:
            out.append(fresh)
    return out


def shot(held: ClipSet, pick: Pick) -> Image.Image:
    """A label -> the picture of its moment with frames around its causes, and the words below."""
    with tempfile.TemporaryDirectory() as scratch:
        rollout = held.rollout(pick.clip, Path(scratch))
    state = rollout.steps[round(pick.said.t_us / 1e5)].state
    camera = rig((CameraName.FRONT_WIDE,), *SIZE, vehicle=rollout.scenario.vehicle)
    frame = renderer_of(rollout.scenario).render(state, camera)[0]
    sheet = Image.new("RGB", (SIZE[0], SIZE[1] + WORDS_PX), (18, 22, 28))
    sheet.paste(Image.fromarray(frame.rgb), (0, 0))
    pen = ImageDraw.Draw(sheet)
    for target in {t.cause.target for t in pick.said.tested if t.verdict == KEPT}:
        rows, columns = np.nonzero(frame.instance == label_of(target, state))
        if len(rows):
            box = (columns.min() - 3, rows.min() - 3, columns.max() + 3, rows.max() + 3)
            pen.rectangle([float(v) for v in box], outline=FLAG, width=2)
    words(pen, pick, rollout.scenario.family or rollout.scenario.map, state.ego.speed_mps)
    return sheet


def label_of(target: str, state: WorldState) -> int:
    """A target -> its number in the instance picture, -1 for what is no thing."""
    kind, _, number = target.partition(":")
    if kind == "signal":
        return SIGNAL_BASE + int(number)
    rows = np.flatnonzero(state.agents.id == int(number)) if kind == "agent" else np.zeros(0, np.int64)
    return AGENT_BASE + int(rows[0]) if len(rows) else -1


def words(pen: ImageDraw.ImageDraw, pick: Pick, family: str, speed_mps: float) -> None:
    """The sentence, and what each cause's removal changes."""
    strong, plain = (
        ImageFont.truetype(str(ROOT / "src/cordillera/assets/fonts" / f"Inter-{name}.otf"), size)
        for name, size in (("SemiBold", 14), ("Regular", 11))
    )
    at = SIZE[1] + 8
    sentence = wrapped(pick.said.trace.text, strong, SIZE[0] - 20)
    for line in sentence[:4]:
        pen.text((10, at), line, (244, 246, 248), strong)
        at += 18
    kept = [t for t in pick.said.tested if t.verdict == KEPT]
    facts = "; ".join(f"without the {t.cause.kind}: {t.effect_mps:.1f} m/s apart" for t in kept[:3])
    about = f"{family.replace('_', ' ')}, at {3.6 * speed_mps:.0f} km/h. {facts[:1].upper()}{facts[1:]}"
    for line in wrapped(about, plain, SIZE[0] - 20)[: 1 if len(sentence) > 3 else 2]:
        pen.text((10, at + 2), line, (168, 178, 190), plain)
        at += 14


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Words -> lines of at most so many pixels."""
    return list(_lines(text.split(), face, width))


def _lines(parts: list[str], face: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    line = ""
    for part in parts:
        if line and face.getlength(f"{line} {part}") > width:
            yield line
            line = part
        else:
            line = f"{line} {part}".strip()
    yield line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set made by `cordillera data generate`")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images" / "traces.jpg")
    arguments = parser.parse_args()
    held = open_set(arguments.folder)
    chosen = picks(held)
    shots = [shot(held, pick) for pick in track(chosen, "pictures", transient=True)]
    rows = math.ceil(len(shots) / COLUMNS)
    tall = SIZE[1] + WORDS_PX
    sheet = Image.new("RGB", (COLUMNS * (SIZE[0] + GAP) - GAP, rows * (tall + GAP) - GAP), (18, 22, 28))
    for k, picture in enumerate(shots):
        sheet.paste(picture, (k % COLUMNS * (SIZE[0] + GAP), k // COLUMNS * (tall + GAP)))
    sheet.save(arguments.output, quality=80, optimize=True)
    for pick in chosen:
        print(f"{pick.clip[:8]} {pick.said.t_us * 1e-6:5.1f} s  {pick.said.trace.text}")
    print(f"{arguments.output}: {arguments.output.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
