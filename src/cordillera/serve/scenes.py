"""Archives and recipes of scenes in, the scenes of the world's services by name out, each made when first asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import grpc
import numpy as np

from cordillera.geometry import quat_of
from cordillera.sensors.render import RenderConfig
from cordillera.serve.recipe import SceneRecipe, scene_id_of
from cordillera.serve.scene import read_scene
from cordillera.serve.sensorsim import SceneRenderer
from cordillera.serve.wire.services import RefusedError
from cordillera.types import Rig, Scenario, Trajectory
from cordillera.world.maps import load_map
from cordillera.world.roads import Roads, compile_map

LONGEST_LIST = 5  # names in an error


@dataclass(frozen=True, eq=False)
class SceneSource:
    """What is known of a scene before it is made."""

    scene_id: str
    recipe: SceneRecipe
    rig: Rig
    recorded: Trajectory  # local_to_rig at the wire's times; empty without an archive
    map_sha256: str = ""
    origin: str = ""  # the archive's path, for errors


@dataclass(frozen=True, eq=False)
class HostedScene:
    """A scene that is ready to be simulated; pictures are ready after the first."""

    source: SceneSource
    scenario: Scenario
    roads: Roads
    renderers: int = 1
    _eyes: list[SceneRenderer] = field(default_factory=list)
    _making: threading.Lock = field(default_factory=threading.Lock)

    @property
    def eyes(self) -> SceneRenderer:
        """What draws the scene; the first call builds its meshes, which takes seconds."""
        with self._making:
            if not self._eyes:
                self._eyes.append(SceneRenderer(self.scenario, RenderConfig(), self.renderers))
            return self._eyes[0]


def archived(path: Path) -> SceneSource:
    """An archive of `cordillera export-scene` -> its source; ValueError where it is none or is damaged."""
    archive = read_scene(path)
    tf = archive.tf_world_rig
    recorded = Trajectory(
        np.array(archive.ego_t_us, dtype=np.int64), tf[:, :3, 3].copy(), np.stack([quat_of(m[:3, :3]) for m in tf]),
        "local",
    )  # fmt: skip
    return SceneSource(
        archive.scene_id, archive.recipe, Rig(archive.cameras), recorded, archive.map_sha256, str(path)
    )  # fmt: skip


def made(recipe: SceneRecipe, rig: Rig) -> SceneSource:
    """A recipe and cameras -> a source without a recording; ValueError for a recipe that makes no scene."""
    nothing = Trajectory(np.zeros(0, dtype=np.int64), np.zeros((0, 3)), np.zeros((0, 4)), "local")
    return SceneSource(scene_id_of(recipe.scenario()), recipe, rig, nothing)


class Scenes:
    """The scenes that are served. At most `loaded` of them are in memory; the one unused for longest is dropped."""

    def __init__(self, sources: Iterable[SceneSource], loaded: int = 8, renderers: int = 1) -> None:
        self.sources: dict[str, SceneSource] = {}
        for source in sources:
            if source.scene_id in self.sources:
                raise ValueError(f"scene {source.scene_id!r} is given twice ({source.origin}); give each once")
            self.sources[source.scene_id] = source
        if not self.sources:
            raise ValueError("no scene to serve; give an archive of cordillera export-scene, or --map or --family")
        self.most, self.renderers = loaded, renderers
        self._ready: OrderedDict[str, HostedScene] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {name: threading.Lock() for name in self.sources}

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self.sources)

    @property
    def ready(self) -> tuple[str, ...]:
        """The scenes in memory."""
        with self._lock:
            return tuple(self._ready)

    def source(self, scene_id: str) -> SceneSource:
        """A name -> what is known of its scene; NOT_FOUND that names the nearest."""
        if scene_id in self.sources:
            return self.sources[scene_id]
        near = get_close_matches(scene_id[:200], self.sources, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        some = ", ".join(self.ids[:LONGEST_LIST]) + (", ..." if len(self.sources) > LONGEST_LIST else "")
        raise RefusedError(
            grpc.StatusCode.NOT_FOUND, f"scene {scene_id[:200]!r} is not served; {hint}There are: {some}"
        )

    def get(self, scene_id: str) -> HostedScene:
        """A name -> its scene, made if it is not in memory. May be called from several threads."""
        source = self.source(scene_id)
        with self._making[scene_id]:
            with self._lock:
                if scene_id in self._ready:
                    self._ready.move_to_end(scene_id)
                    return self._ready[scene_id]
            scene = self._make(source)
            with self._lock:
                self._ready[scene_id] = scene
                while len(self._ready) > self.most:
                    self._ready.popitem(last=False)
            return scene

    def _make(self, source: SceneSource) -> HostedScene:
        scenario = source.recipe.scenario()
        road_map = load_map(scenario.map)
        if source.map_sha256 and source.map_sha256 != road_map.sha256:
            raise RefusedError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"scene {source.scene_id!r} was exported from another version of the map {scenario.map!r}; "
                "export it again with cordillera export-scene",
            )
        return HostedScene(source, scenario, compile_map(road_map), self.renderers)
