"""Cameras of a vehicle: camera points <-> pixels for f-theta and pinhole lenses, and the data set's seven cameras.

The f-theta model is the one of the PhysicalAI-AV layout: a ray at the angle theta from the optical axis meets the image
at r = fw_poly(theta) pixels from (cx, cy). The camera frame is optical: x right, y down, z forward. The forward
polynomial is what holds; the backward one, theta = bw_poly(r), starts Newton's iteration that inverts it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import ArrayLike

from cordillera.types import Camera, CameraName, Float, Rig, VehicleSpec

NEWTON_STEPS = 6
FTHETA, PINHOLE = "ftheta", "pinhole"


@dataclass(frozen=True)
class Mount:
    """Where a camera sits in the rig frame, where it looks, and its lens: r = f (theta + cubic theta^3)."""

    index: int  # position in the data set's order
    fov_deg: float  # horizontal, edge to edge
    xyz_rig: tuple[float, float, float]
    yaw_deg: float  # positive to the left of straight ahead
    pitch_deg: float  # positive downwards
    cubic: float


# A plausible car: wide and tele behind the windscreen, cross cameras in the mirrors, rear ones on the front wings and
# the boot lid. The cubic terms are those of ordinary lenses: wide ones compress, tele ones stretch a little.
MOUNTS = {
    CameraName.CROSS_LEFT.value: Mount(0, 120.0, (2.20, 0.98, 1.05), 68.0, 2.0, -0.018),
    CameraName.FRONT_WIDE.value: Mount(1, 120.0, (1.75, 0.00, 1.46), 0.0, 1.0, -0.018),
    CameraName.CROSS_RIGHT.value: Mount(2, 120.0, (2.20, -0.98, 1.05), -68.0, 2.0, -0.018),
    CameraName.REAR_LEFT.value: Mount(3, 70.0, (2.75, 0.99, 0.92), 151.0, 2.0, 0.012),
    CameraName.REAR_TELE.value: Mount(4, 30.0, (-0.97, 0.00, 1.12), 180.0, 0.0, 0.05),
    CameraName.REAR_RIGHT.value: Mount(5, 70.0, (2.75, -0.99, 0.92), -151.0, 2.0, 0.012),
    CameraName.FRONT_TELE.value: Mount(6, 30.0, (1.75, 0.06, 1.46), 0.0, 0.0, 0.05),
}


def rig(
    names: tuple[str, ...] = tuple(MOUNTS),
    width: int = 480,
    height: int = 270,
    rate_hz: float = 10.0,
    vehicle: VehicleSpec | None = None,
    rolling: bool = False,
) -> Rig:
    """Names out of the data set's seven, an image size -> the rig; `rolling` spreads the exposures over the period."""
    unknown = [name for name in names if name not in MOUNTS]
    if unknown or not names:
        raise ValueError(f"rig: unknown camera names {unknown}. Give one or more of {', '.join(MOUNTS)}")
    if width < 8 or height < 8:
        raise ValueError(f"rig: an image of {width} x {height} pixels is too small, 8 x 8 is the least")
    order = sorted(set(names), key=lambda name: MOUNTS[name].index)
    period_us = 1e6 / rate_hz
    cameras = []
    for name in order:
        offset = round(period_us * MOUNTS[name].index / len(MOUNTS)) if rolling else 0
        cameras.append(ftheta_camera(name, MOUNTS[name], width, height, rate_hz, offset))
    return Rig(tuple(cameras), vehicle or VehicleSpec())


def ftheta_camera(
    name: str, mount: Mount, width: int, height: int, rate_hz: float = 10.0, offset_us: int = 0
) -> Camera:
    """A mount and an image size -> its f-theta camera, scaled so that the field of view fills the width."""
    half = math.radians(0.5 * mount.fov_deg)
    focal = 0.5 * width / (half + mount.cubic * half**3)
    fw = (0.0, focal, 0.0, focal * mount.cubic, 0.0)
    corner = math.hypot(0.5 * width, 0.5 * height) * 1.02
    theta = np.linspace(0.0, 1.0, 400) * float(_theta_of(fw, np.array([corner / focal]), np.array([corner]))[0])
    r = polynomial.polyval(theta, fw)
    basis = np.stack([r**k / corner**k for k in range(1, 5)], axis=-1)  # without a constant: the axis maps to itself
    solution = np.linalg.lstsq(basis, theta, rcond=None)[0]
    bw = (0.0, *(float(c / corner**k) for k, c in enumerate(solution, start=1)))
    tf = mount_transform(mount.xyz_rig, mount.yaw_deg, mount.pitch_deg)
    centre = (0.5 * (width - 1), 0.5 * (height - 1))
    return Camera(name, FTHETA, width, height, *centre, fw, bw, tf, rate_hz, offset_us)


def pinhole_camera(
    name: str, width: int, height: int, fov_deg: float, tf_rig_camera: Float, rate_hz: float = 10.0
) -> Camera:
    """An image size and a horizontal field of view below 180 degrees -> a pinhole camera."""
    if not 0.0 < fov_deg < 180.0:
        raise ValueError(f"camera {name!r}: fov_deg is {fov_deg}, a pinhole needs more than 0 and less than 180")
    focal = 0.5 * width / math.tan(math.radians(0.5 * fov_deg))
    poly = (0.0, focal)
    return Camera(
        name, PINHOLE, width, height, 0.5 * (width - 1), 0.5 * (height - 1), poly, (0.0, 1.0 / focal), tf_rig_camera,
        rate_hz,
    )  # fmt: skip


def mount_transform(xyz_rig: tuple[float, float, float], yaw_deg: float, pitch_deg: float = 0.0) -> Float:
    """A position, and a direction of view by yaw (left positive) and pitch (down positive) -> tf_rig_camera (4, 4)."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    forward = np.array([math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), -math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    tf = np.eye(4)
    tf[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=-1)
    tf[:3, 3] = xyz_rig
    return tf


def project(camera: Camera, xyz_camera: ArrayLike) -> tuple[Float, Float]:
    """Points (..., 3) in the camera frame -> pixels (..., 2) and their angles from the axis (...,) in radians.

    Pixels beyond the image are given too; for a pinhole, points that are not in front give NaN.
    """
    xyz = np.asarray(xyz_camera, dtype=np.float64)
    side = np.hypot(xyz[..., 0], xyz[..., 1])
    theta = np.arctan2(side, xyz[..., 2])
    if camera.model == PINHOLE:
        r = np.where(theta < 0.5 * np.pi, camera.fw_poly[1] * np.tan(np.minimum(theta, 1.5707)), np.nan)
    else:
        r = polynomial.polyval(theta, camera.fw_poly)
    scale = r / np.where(side > 0.0, side, 1.0)
    pixel = xyz[..., :2] * scale[..., None] + np.array([camera.cx, camera.cy])
    return pixel, theta


def unproject(camera: Camera, pixel: ArrayLike) -> Float:
    """Pixels (..., 2) -> unit rays (..., 3) in the camera frame; the exact inverse of `project`."""
    offset = np.asarray(pixel, dtype=np.float64) - np.array([camera.cx, camera.cy])
    r = np.hypot(offset[..., 0], offset[..., 1])
    if camera.model == PINHOLE:
        theta = np.arctan(r / camera.fw_poly[1])
    else:
        start = np.asarray(polynomial.polyval(r, camera.bw_poly), dtype=np.float64)
        theta = _theta_of(camera.fw_poly, start, r)
    # sin(theta) / r has the limit 1 / f on the axis, where the direction of the offset is nothing
    scale = np.where(r > 1e-9, np.sin(theta) / np.maximum(r, 1e-9), 0.0)
    return np.concatenate([offset * scale[..., None], np.cos(theta)[..., None]], axis=-1)


def ray_table(camera: Camera) -> Float:
    """A camera -> the unit ray of every pixel centre (H, W, 3), camera frame."""
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return unproject(camera, np.stack([x, y], axis=-1))


def theta_limit(camera: Camera) -> float:
    """A camera -> the largest angle at which its lens still maps one to one: pi, or where r stops growing."""
    if camera.model == PINHOLE:
        return math.atan(math.hypot(camera.width, camera.height) / camera.fw_poly[1])
    theta = np.linspace(0.0, math.pi, 721)
    slope = polynomial.polyval(theta, polynomial.polyder(np.asarray(camera.fw_poly)))
    falling = np.flatnonzero(slope <= 0.05 * slope[0])
    return float(theta[falling[0] - 1]) if len(falling) else math.pi


def _theta_of(fw: tuple[float, ...], start: Float, r: Float) -> Float:
    """The angle whose forward polynomial is r, by Newton's method from a start near it."""
    slope = polynomial.polyder(np.asarray(fw))
    theta = np.asarray(start, dtype=np.float64)
    for _ in range(NEWTON_STEPS):
        theta = theta - (polynomial.polyval(theta, fw) - r) / polynomial.polyval(theta, slope)
    return theta
