"""The verb `cordillera serve-world`: its arguments, and the job that it calls."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from cordillera.cli.bench import count_from
from cordillera.cli.cameras import WORDS, cameras_of, size_of
from cordillera.cli.serve import address_arguments, server_config

Verbs = argparse._SubParsersAction
Check = Callable[[str], object]


def add_serve_world(
    verbs: Verbs[argparse.ArgumentParser], scene_arguments: Callable[[argparse.ArgumentParser], None], seconds: Check
) -> None:
    """Add the verb; `scene_arguments` adds the arguments that say which scene, `seconds` is an argument type."""
    verb = verbs.add_parser(
        "serve-world",
        help="serve our world to AlpaSim's runtime over gRPC: sensorsim, physics, traffic and controller",
        epilog="example: cordillera serve-world scenes/town01-3.usdz; or, without an archive: "
        "cordillera serve-world --family free_road --seed 3",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    verb.add_argument(
        "scenes", nargs="*", type=Path, metavar="SCENE.usdz", help="archives of export-scene, or folders of them"
    )
    scene_arguments(verb)
    verb.set_defaults(map="")
    verb.add_argument("--family", default="", metavar="NAME", help="a family of scenarios in place of --map")
    verb.add_argument("--cameras", type=cameras_of, default="front-wide,front-tele", help=f"of {', '.join(WORDS[:-1])}")
    verb.add_argument("--size", type=size_of, default="1920x1080", help="of their pictures, as WIDTHxHEIGHT")
    verb.add_argument("--duration", type=seconds, default=25.0, help="seconds for which a --map's traffic is drawn")
    address_arguments(verb)
    verb.set_defaults(message_mb=64.0, port=50061)  # beside a driver at its own default
    verb.add_argument("--split", action="store_true", help="each service on a port of its own, counted from --port")
    verb.add_argument("--sessions", type=count_from(1), default=64, help="at once, of each service")
    verb.add_argument("--idle", type=seconds, default=600.0, help="seconds after which a silent session is closed")
    verb.add_argument("--threads", type=count_from(1), default=os.cpu_count() or 1, help="pictures drawn at once")
    verb.add_argument("--loaded", type=count_from(1), default=8, help="scenes kept in memory")
    verb.set_defaults(run=run_serve_world)


def run_serve_world(arguments: argparse.Namespace) -> int:
    server = server_config(arguments)
    from cordillera.presets.serve_world import ServeWorldJob, serve_world
    from cordillera.serve.recipe import SceneRecipe
    from cordillera.serve.sessions import SessionLimits

    if not arguments.cameras:
        raise ValueError("--cameras none: a scene needs at least one camera; name one")
    if arguments.map and arguments.family:
        raise ValueError("--map and --family: a family brings its own place; give one of the two")
    recipes = ()
    if arguments.map or arguments.family:
        recipe = SceneRecipe(
            arguments.map, arguments.seed, arguments.duration, arguments.weather, arguments.time, arguments.family
        )
        recipes = (recipe,)
    serve_world(
        ServeWorldJob(
            archives=tuple(arguments.scenes),
            recipes=recipes,
            cameras=arguments.cameras,
            size=arguments.size,
            server=server,
            limits=SessionLimits(arguments.sessions, arguments.idle),
            threads=arguments.threads,
            loaded=arguments.loaded,
            split=arguments.split,
        )
    )
    return 0
