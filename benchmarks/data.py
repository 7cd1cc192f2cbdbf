"""Data sets: clips an hour a core and where the time goes; samples a second into training; `python -m benchmarks.data`.

Clips are 20 s long; each row is the same few clips with other cameras, in process time, after one clip that compiles.
Reading draws random windows with two cameras, as training does: decoding each, with windows kept in memory, and from
frames decoded on disk, cold (the first pass makes the files) and warm.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from cordillera.data.frames import FrameCache
from cordillera.data.read import ClipSet, open_set
from cordillera.data.write import write_chunk, write_index
from cordillera.presets.clip import Order, make_clip

PAIR = ("camera_front_wide_120fov", "camera_front_tele_30fov")
FOUR = ("camera_cross_left_120fov", *PAIR[:1], "camera_cross_right_120fov", *PAIR[1:])
ROWS = (("2 at 256 x 160", PAIR, (256, 160)), ("4 at 480 x 270", FOUR, (480, 270)))
PARTS = ("set-up", "drive", "render", "encode", "label", "write")
FAMILIES = ("cut_in", "lights_turn", "maps:karlsruhe", "jaywalker_behind_bus")


def make(order: Order, seeds: int, folder: Path) -> tuple[int, dict[str, float]]:
    """An order -> clips made of it and of the other families, written into a set; seconds by part of the work."""
    spent: dict[str, float] = defaultdict(float)
    clips = []
    for k in range(seeds):
        made = make_clip(replace(order, family=FAMILIES[k % len(FAMILIES)], seed=order.seed + k))
        for name, seconds in made.seconds:
            spent[name] += seconds
        clips += [made.clip] if made.clip else []
    mark = time.process_time()
    write_chunk(folder, 0, clips)
    write_index(folder)
    spent["write"] += time.process_time() - mark
    return len(clips), spent


def draw(held: ClipSet, count: int, seed: int) -> float:
    """A set -> process time for so many random windows with two cameras."""
    rng = np.random.default_rng(seed)
    clips = held.clips()
    mark = time.process_time()
    for _ in range(count):
        held.sample(clips[int(rng.integers(len(clips)))], 100_000 * int(rng.integers(16, 137)), PAIR)
    return time.process_time() - mark


def reading(folder: Path, scratch: Path, count: int) -> list[tuple[str, float]]:
    """A set -> samples a second for each way to read it."""
    decoded = FrameCache(scratch)
    draw(open_set(folder), 3, 1)
    kept = open_set(folder, cache=100_000)
    rows = [("decoding every window", count / draw(open_set(folder), count, 0))]
    draw(kept, count, 0)
    rows.append(("windows kept in memory, drawn again", count / draw(kept, count, 0)))
    rows.append(("frames decoded on disk, first pass", count / draw(open_set(folder, decoded=decoded), count, 0)))
    held = open_set(folder, decoded=FrameCache(scratch))
    draw(held, len(held.clips()) * 4, 2)
    rows.append(("frames decoded on disk, after that", 10 * count / draw(held, 10 * count, 3)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=4, help="clips a row")
    parser.add_argument("--samples", type=int, default=100, help="windows that are drawn")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as scratch:
        for k, (name, cameras, size) in enumerate(ROWS):
            order = Order(FAMILIES[0], "", "train", 100, cameras, size, 20)
            make_clip(replace(order, seed=99))
            count, spent = make(order, arguments.clips, Path(scratch) / f"set{k}")
            total = sum(spent.values())
            shares = ", ".join(f"{part} {100 * spent[part] / total:.0f} %" for part in PARTS)
            console.print(f"cameras {name}: {3600 * count / total:.0f} clips an hour a core; {shares}")
        console.print("reading, 2 cameras at 256 x 160, samples a second:")
        for way, rate in reading(Path(scratch) / "set0", Path(scratch) / "frames", arguments.samples):
            console.print(f"  {way}: {rate:.0f}")


if __name__ == "__main__":
    main()
