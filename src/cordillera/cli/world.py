"""The verbs that give our worlds to other simulators: `cordillera export-scene`, and those of its two siblings."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from cordillera.cli.asl import add_asl
from cordillera.cli.cameras import WORDS, cameras_of, size_of
from cordillera.cli.serve_world import add_serve_world

Verbs = argparse._SubParsersAction
Check = Callable[[str], object]


def add_world(
    verbs: Verbs[argparse.ArgumentParser], scene_arguments: Callable[[argparse.ArgumentParser], None], seconds: Check
) -> None:
    """Add the verbs; `scene_arguments` adds the arguments that say which scene, `seconds` is a type of argument."""
    verb = verbs.add_parser(
        "export-scene",
        help="write a scene as the archive that AlpaSim's runtime loads, with a drive by the expert as its recording",
        epilog="example: cordillera export-scene --map town01 --seed 3 --output scenes/town01-3.usdz",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    scene_arguments(verb)
    family = "a family of scenarios in place of --map; it brings its own place, weather, hour and duration"
    verb.add_argument("--family", default="", metavar="NAME", help=family)
    cameras = f"that the scene names, of {', '.join(WORDS[:-1])}"
    verb.add_argument("--cameras", type=cameras_of, default="front-wide,front-tele", help=cameras)
    verb.add_argument("--size", type=size_of, default="1920x1080", help="of a camera's picture, as WIDTHxHEIGHT")
    verb.add_argument("--duration", type=seconds, default=25.0, help="seconds that the recorded drive takes at most")
    verb.add_argument("--output", type=Path, required=True, help="the archive; its name ends in .usdz")
    verb.set_defaults(run=run_export)
    add_serve_world(verbs, scene_arguments, seconds)
    add_asl(verbs)


def run_export(arguments: argparse.Namespace) -> int:
    from cordillera.presets.world import ExportJob, export_scene
    from cordillera.serve.recipe import SceneRecipe

    if not arguments.cameras:
        raise ValueError("--cameras none: a scene needs at least one camera; name one")
    recipe = SceneRecipe(arguments.map, arguments.seed, arguments.duration, arguments.weather, arguments.time)
    if arguments.family:
        recipe = SceneRecipe(seed=arguments.seed, family=arguments.family)
    export_scene(ExportJob(recipe, arguments.cameras, arguments.size, arguments.output))
    return 0
