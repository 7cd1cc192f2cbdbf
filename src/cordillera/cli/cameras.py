"""Arguments that name cameras, and the verb `cordillera render`."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable
from pathlib import Path

from cordillera.types import CameraName, Weather

# "front-wide" for "camera_front_wide_120fov", and so on
SHORT = {name.value.removeprefix("camera_").rsplit("_", 1)[0].replace("_", "-"): name.value for name in CameraName}
WORDS = (*SHORT, "all", "none")


def cameras_of(word: str) -> tuple[str, ...]:
    """ "front-wide,front-tele", "all" or "none" -> names of the rig's cameras; the full names do as well."""
    if word in ("", "none"):
        return ()
    if word == "all":
        return tuple(SHORT.values())
    known = {**SHORT, **{name: name for name in SHORT.values()}}
    out = []
    for part in word.split(","):
        if part not in known:
            close = difflib.get_close_matches(part.lower().replace("_", "-"), WORDS, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise argparse.ArgumentTypeError(f"{part!r} is not known; {hint}one or more of: {', '.join(WORDS)}")
        out.append(known[part])
    return tuple(dict.fromkeys(out))


def size_of(word: str) -> tuple[int, int]:
    """ "480x270" -> (480, 270)."""
    width, _, height = word.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and 16 <= int(width) <= 4096 and 16 <= int(height) <= 4096):
        raise argparse.ArgumentTypeError(f"{word!r} is not a size: write WIDTHxHEIGHT, each from 16 to 4096")
    return int(width), int(height)


def add_render(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    scene_arguments: Callable[[argparse.ArgumentParser], None],
    seconds: Callable[[str], float],
) -> None:
    """Add `render`; `scene_arguments` adds the arguments that say which scene, `seconds` is a type of argument."""
    verb = verbs.add_parser(
        "render",
        help="draw what the cameras see at one moment: colour, classes, instances, depth, and a JSON of all things",
        epilog="example: cordillera render --map town10hd --seed 3 --at 4 --cameras all --weather rain --time dusk",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    scene_arguments(verb)
    verb.add_argument("--cameras", type=cameras_of, default="front-wide,front-tele", help=f"of {', '.join(WORDS[:-1])}")
    verb.add_argument("--size", type=size_of, default="960x540", help="of a picture, as WIDTHxHEIGHT")
    verb.add_argument("--at", type=seconds, default=0.0, help="seconds into a drive by the expert")
    verb.add_argument(
        "--output", type=Path, default=argparse.SUPPRESS, help="folder (default: runs/<map>-<seed>-stills)"
    )
    verb.set_defaults(run=run_render)


def run_render(arguments: argparse.Namespace) -> int:
    from cordillera.presets import cameras as cameras_jobs

    if not arguments.cameras:
        raise ValueError(f"--cameras none leaves nothing to draw; name one or more of: {', '.join(WORDS[:-1])}")
    cameras_jobs.render(
        cameras_jobs.RenderJob(
            map=arguments.map,
            seed=arguments.seed,
            cameras=arguments.cameras,
            size=arguments.size,
            weather=Weather(arguments.weather),
            hour=arguments.time,
            at_s=arguments.at,
            output=getattr(arguments, "output", None),
        )
    )
    return 0
