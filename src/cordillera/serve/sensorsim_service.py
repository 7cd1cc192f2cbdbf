"""`nre.grpc.protos.sensorsim.SensorsimService`: poses and lenses in, pictures of our scenes out.

Pictures are exposed at once, at the end of the frame, with the poses that hold then. Lidar is not served.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from cordillera.geometry import invert
from cordillera.sensors.rig import MOUNTS, rig
from cordillera.serve.convert import camera_message, lens_of, pose_of, time_of, trajectory_message, transform_from
from cordillera.serve.lens import Lens
from cordillera.serve.odd_lens import OddLens, Picture
from cordillera.serve.scene import EPOCH_US
from cordillera.serve.scenes import Scenes, SceneSource
from cordillera.serve.sensorsim import check_shape, check_size, encoded, scaled
from cordillera.serve.service import Context, WorldService, few
from cordillera.serve.wire import common_pb2, sensorsim_pb2
from cordillera.serve.wire.services import RefusedError
from cordillera.types import Camera, Float

MOST_OBJECTS = 4096
MOST_ITEMS = 64  # of a batch
MOST_CAMERAS = 256  # remembered
FORWARD = rig((next(name for name in MOUNTS if "front_wide" in name),), 8, 8).cameras[0].tf_rig_camera


@dataclass(frozen=True, eq=False)
class View:
    """What is drawn for a lens, and the way from there to its picture where the lens is not one that is drawn."""

    camera: Camera
    size: tuple[int, int]  # of the picture
    odd: OddLens | None = None

    def picture(self, drawn: Picture) -> Picture:
        """What was drawn -> the picture."""
        found = self.odd.picture(drawn) if self.odd else drawn
        if found.shape[1::-1] == self.size:
            return found
        return np.asarray(cv2.resize(found, self.size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture that is asked for."""

    scene_id: str
    view: View
    tf_world_rig: Float
    t_us: int
    placed: Mapping[str, tuple[Float, Float]]
    image_format: int
    quality: float


class Views:
    """Lenses as messages -> views, the same object for the same message, since renderers remember by object."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, str, int, int], View] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, spec: sensorsim_pb2.CameraSpec, source: SceneSource, width: int, height: int) -> View:
        """A lens, the scene and a picture's size (0: the lens's own) -> its view, mounted where the scene says.

        One that the scene does not know is taken for a camera behind the windscreen. ValueError for no such lens.
        """
        key = (spec.SerializeToString(deterministic=True), source.scene_id, width, height)
        with self._lock:
            if key not in self._known:
                view = view_of(spec, width or spec.resolution_w, height or spec.resolution_h)
                mounts = {c.name: c.tf_rig_camera for c in source.rig.cameras}
                camera = replace(view.camera, tf_rig_camera=mounts.get(spec.logical_id, FORWARD))
                self._known[key] = replace(view, camera=camera)
                while len(self._known) > MOST_CAMERAS:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]


def view_of(spec: sensorsim_pb2.CameraSpec, width: int, height: int) -> View:
    """A lens and the size of its picture -> its view at the rig's origin; ValueError for what is no lens."""
    name = spec.logical_id or "camera"
    try:
        camera = lens_of(spec, name)
    except ValueError:
        lens = Lens(spec, name)  # says what is wrong where it is no lens at all
        own = (int(spec.resolution_w), int(spec.resolution_h))
        check_shape(name, own, (width, height))
        check_size(*own)
        check_size(width, height)
        odd = OddLens(lens)
        return View(odd.drawn, (width, height), odd)
    return View(scaled(camera, width, height), (width, height))


class SensorsimService(WorldService):
    """The service; its methods are the calls of the contract."""

    name = "sensorsim"

    def __init__(self, scenes: Scenes, threads: int = 1) -> None:
        super().__init__(threads)
        self.scenes, self.views = scenes, Views()

    # ------------------------------------------------------------- pictures

    async def render_rgb(self, request: Any, context: Context) -> sensorsim_pb2.RGBRenderReturn:
        """One picture as PNG, JPEG or RGB planes."""
        return await self._drawn(request)

    async def batch_render_rgb(self, request: Any, context: Context) -> sensorsim_pb2.BatchRGBRenderReturn:
        """Several pictures, in the order asked for; one that cannot be drawn says why and spoils no other."""
        few(len(request.items), MOST_ITEMS, "items")
        return sensorsim_pb2.BatchRGBRenderReturn(items=await asyncio.gather(*map(self._item, request.items)))

    async def _item(
        self, item: sensorsim_pb2.BatchRGBRenderRequestItem
    ) -> sensorsim_pb2.BatchRGBRenderReturnItem:  # fmt: skip
        answer = sensorsim_pb2.BatchRGBRenderReturnItem
        try:
            return answer(camera_name=item.camera_name, result=await self._drawn(item.request), success=True)
        except (ValueError, RefusedError) as error:
            return answer(camera_name=item.camera_name, success=False, error_message=str(error))

    async def render_aggregated(self, request: Any, context: Context) -> sensorsim_pb2.AggregatedRenderReturn:
        """Several pictures at once; lidar is refused."""
        if request.lidar_requests:
            raise ValueError("lidar is not served; ask for pictures only")
        few(len(request.rgb_requests), MOST_ITEMS, "rgb_requests")
        return sensorsim_pb2.AggregatedRenderReturn(
            rgb_returns=await asyncio.gather(*map(self._drawn, request.rgb_requests))
        )

    async def _drawn(self, request: sensorsim_pb2.RGBRenderRequest) -> sensorsim_pb2.RGBRenderReturn:
        source = self.scenes.source(request.scene_id)
        return sensorsim_pb2.RGBRenderReturn(image_bytes=await self.aside(self._picture, request, source))

    def _picture(self, request: sensorsim_pb2.RGBRenderRequest, source: SceneSource) -> bytes:
        shot = shot_of(request, source, self.views)
        eyes = self.scenes.get(shot.scene_id).eyes
        drawn = eyes.picture(shot.view.camera, shot.tf_world_rig, shot.t_us, shot.placed)
        return encoded(shot.view.picture(drawn), shot.image_format, shot.quality)

    # ------------------------------------------------------- what there is

    async def get_available_scenes(self, request: Any, context: Context) -> common_pb2.AvailableScenesReturn:
        """The scenes that are served."""
        return common_pb2.AvailableScenesReturn(scene_ids=self.scenes.ids)

    async def get_loaded_scenes(self, request: Any, context: Context) -> sensorsim_pb2.LoadedScenesReturn:
        """The scenes in memory, and how many may be."""
        entry = sensorsim_pb2.LoadedSceneEntry
        return sensorsim_pb2.LoadedScenesReturn(
            scenes=[
                entry(scene_id=name, loaded_instance_count=1, reusable_instance_count=1) for name in self.scenes.ready
            ],
            loaded_instance_capacity=self.scenes.most,
        )

    async def get_available_cameras(self, request: Any, context: Context) -> sensorsim_pb2.AvailableCamerasReturn:
        """The cameras of a scene, with their lenses and places."""
        cameras = self.scenes.source(request.scene_id).rig.cameras
        return sensorsim_pb2.AvailableCamerasReturn(available_cameras=[camera_message(c) for c in cameras])

    async def get_available_trajectories(
        self, request: Any, context: Context
    ) -> sensorsim_pb2.AvailableTrajectoriesReturn:
        """The recorded drive of a scene that has one."""
        recorded = self.scenes.source(request.scene_id).recorded
        answer = sensorsim_pb2.AvailableTrajectoriesReturn()
        if len(recorded.t_us):
            answer.available_trajectories.add().trajectory.CopyFrom(trajectory_message(recorded))
        return answer

    async def get_available_ego_masks(self, request: Any, context: Context) -> sensorsim_pb2.AvailableEgoMasksReturn:
        """None: our cameras do not see the car that carries them."""
        return sensorsim_pb2.AvailableEgoMasksReturn()

    async def get_version(self, request: Any, context: Context) -> common_pb2.VersionId:
        """Who serves."""
        return self.version()


def shot_of(request: sensorsim_pb2.RGBRenderRequest, source: SceneSource, views: Views) -> Shot:
    """A request -> what to draw; ValueError for a lens, a pose or an object that is none."""
    few(len(request.dynamic_objects), MOST_OBJECTS, "dynamic_objects")
    if request.insert_ego_mask:
        raise ValueError("insert_ego_mask is set, but no ego masks are offered (get_available_ego_masks); leave it out")
    t_us = time_of(request.frame_end_us, "frame_end_us")
    if t_us < EPOCH_US or request.frame_start_us > t_us:
        raise ValueError(
            f"the frame is from {request.frame_start_us} to {t_us} us; scenes begin at {EPOCH_US} us, and a frame "
            "ends after it starts"
        )
    view = views.of(request.camera_intrinsics, source, request.resolution_w, request.resolution_h)
    tf_world_camera = transform_from(_end(request.sensor_pose, "sensor_pose"), "sensor_pose")
    placed = {}
    for each in request.dynamic_objects:
        what = f"object {each.track_id[:64]!r}"
        if each.track_id in placed:
            raise ValueError(f"{what} is given twice; give each once")
        placed[each.track_id] = pose_of(_end(each.pose_pair, what), what)
    return Shot(
        source.scene_id, view, tf_world_camera @ invert(view.camera.tf_rig_camera), t_us, placed,
        int(request.image_format), float(np.float32(request.image_quality)),
    )  # fmt: skip


def _end(pair: sensorsim_pb2.PosePair, what: str) -> common_pb2.Pose:
    """A pair of poses -> the one at the end of the exposure, or the only one that there is."""
    if pair.HasField("end_pose"):
        return pair.end_pose
    if pair.HasField("start_pose"):
        return pair.start_pose
    raise ValueError(f"{what} has no pose; send start_pose and end_pose")
