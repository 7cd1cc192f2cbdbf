"""Pictures of any lens and size that the contract has -> pictures of a policy's own cameras.

Only directions count: where a policy's camera looks, the sender's picture is read at the pixel that looks there too.
What the sender's camera does not see stays black. The two places on the car are taken for one.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray
from PIL import Image

from cordillera.sensors.rig import ray_table, unproject
from cordillera.serve.convert import HALF_PIXEL
from cordillera.serve.wire import sensorsim_pb2
from cordillera.types import Bool, Camera, Float

LARGEST_PX = 8192  # of a side
MOST_PIXELS = 40_000_000  # of a picture; a small file may unpack to a large one
KNOTS = 4000
COARSE = 1.5  # source pixels a target pixel from which on the source is shrunk first, so that nothing is skipped


def decode(data: bytes, what: str) -> NDArray[np.uint8]:
    """Bytes of a JPEG or PNG file -> the picture (H, W, 3); ValueError names `what` and the fault."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            width, height = image.size
            if max(width, height) > LARGEST_PX or width * height > MOST_PIXELS:
                raise ValueError(f"it has {width} x {height} pixels; {LARGEST_PX} a side, {MOST_PIXELS} in all is most")
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        words = "it is neither JPEG nor PNG" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise ValueError(f"image_bytes of {what} cannot be read: {words}; send a whole JPEG or PNG file") from error


@dataclass(frozen=True, eq=False)
class Lens:
    """A lens of the contract in its full form; pixels in our convention (the first pixel's centre is (0, 0))."""

    spec: sensorsim_pb2.CameraSpec
    name: str

    def __post_init__(self) -> None:
        kind, width, height = self.kind, int(self.spec.resolution_w), int(self.spec.resolution_h)
        if not 1 <= width <= LARGEST_PX or not 1 <= height <= LARGEST_PX:
            raise ValueError(
                f"camera {self.name!r} has {width} x {height} pixels; set resolution_w and resolution_h, "
                f"at most {LARGEST_PX}"
            )
        if kind is None:
            raise ValueError(
                f"camera {self.name!r} has no lens; set ftheta_param, opencv_pinhole_param or opencv_fisheye_param"
            )
        lens = getattr(self.spec, kind)
        numbers = [v for field, v in lens.ListFields() if field.name != "linear_cde" and not field.is_repeated]
        numbers += [v for field, values in lens.ListFields() if field.is_repeated for v in values]
        if not np.isfinite(np.array(numbers, dtype=np.float64)).all() or len(numbers) > 64:
            raise ValueError(f"camera {self.name!r}: {kind} holds NaN, infinity or too many numbers; send finite ones")
        if kind != "ftheta_param" and not (lens.focal_length_x > 0.0 and lens.focal_length_y > 0.0):
            raise ValueError(f"camera {self.name!r}: {kind} needs focal_length_x and focal_length_y above 0")
        theta, _ = self._radial()
        if len(theta) < 10:
            raise ValueError(f"camera {self.name!r}: the polynomial of {kind} is no lens; it must rise from 0")

    @property
    def kind(self) -> str | None:
        return self.spec.WhichOneof("camera_param")

    @property
    def ignored(self) -> str:
        """What of the specification is not used, in words; "" for nothing."""
        outside = self.spec.WhichOneof("external_distortion")
        return f"camera {self.name!r}: {outside} is not used; pictures shift by its few pixels" if outside else ""

    def project(self, rays: Float) -> tuple[Float, Bool]:
        """Directions (..., 3), optical axes -> pixels (..., 2), and whether the lens maps them (...)."""
        side = np.hypot(rays[..., 0], rays[..., 1])
        theta = np.arctan2(side, rays[..., 2])
        table_theta, table_r = self._radial()
        seen = theta <= table_theta[-1]
        scale = np.interp(theta, table_theta, table_r) / np.where(side > 0.0, side, 1.0)
        offset = rays[..., :2] * scale[..., None]
        lens = getattr(self.spec, self.kind or "")
        if isinstance(lens, sensorsim_pb2.FthetaCameraParam):
            c, d, e = lens.linear_cde.linear_c, lens.linear_cde.linear_d, lens.linear_cde.linear_e
            if (c, d, e) != (0.0, 0.0, 0.0):
                x, y = offset[..., 0], offset[..., 1]
                offset = np.stack([c * x + d * y, e * x + y], axis=-1)
        else:
            if isinstance(lens, sensorsim_pb2.OpenCVPinholeCameraParam):
                offset = offset + self._decentred(rays)
            offset = offset * np.array([lens.focal_length_x, lens.focal_length_y])
        centre = np.array([lens.principal_point_x, lens.principal_point_y]) - HALF_PIXEL
        return offset + centre, seen

    def _radial(self) -> tuple[Float, Float]:
        """Angles from the axis and what lies there, pixels (f-theta) or multiples of the focal length; both rise."""
        lens = getattr(self.spec, self.kind or "")
        if isinstance(lens, sensorsim_pb2.FthetaCameraParam):
            corner = 2.0 * math.hypot(self.spec.resolution_w, self.spec.resolution_h)
            backwards = lens.reference_poly == sensorsim_pb2.FthetaCameraParam.PIXELDIST_TO_ANGLE
            if (backwards or not lens.angle_to_pixeldist_poly) and lens.pixeldist_to_angle_poly:
                r = np.linspace(0.0, corner, KNOTS)
                theta = polynomial.polyval(r, np.array(lens.pixeldist_to_angle_poly))
            elif lens.angle_to_pixeldist_poly:
                theta = np.linspace(0.0, math.pi, KNOTS)
                r = polynomial.polyval(theta, np.array(lens.angle_to_pixeldist_poly))
            else:
                theta = r = np.zeros(1)
            widest = lens.max_angle if lens.max_angle > 0.0 else math.pi
        elif isinstance(lens, sensorsim_pb2.OpenCVFisheyeCameraParam):
            theta = np.linspace(0.0, math.pi, KNOTS)
            odd = [1.0, *lens.radial_coeffs]
            r = polynomial.polyval(theta, np.array([odd[k // 2] if k % 2 else 0.0 for k in range(2 * len(odd))]))
            widest = lens.max_angle if lens.max_angle > 0.0 else math.pi
        else:
            x = np.tan(np.linspace(0.0, 1.5, KNOTS))
            theta, r = np.arctan(x), x * _rational(x * x, list(lens.radial_coeffs))
            widest = 1.5
        falling = np.flatnonzero((np.diff(r) <= 0.0) | (np.diff(theta) <= 0.0) | ~np.isfinite(np.diff(r)))
        end = int(falling[0]) + 1 if len(falling) else len(r)
        end = min(end, int(np.searchsorted(theta[:end], widest, side="right")))
        return np.asarray(theta[:end], dtype=np.float64), np.asarray(r[:end], dtype=np.float64)

    def _decentred(self, rays: Float) -> Float:
        """OpenCV's tangential and thin-prism shifts (..., 2), in multiples of the focal length."""
        lens = self.spec.opencv_pinhole_param
        p1, p2 = (*lens.tangential_coeffs, 0.0, 0.0)[:2]
        s1, s2, s3, s4 = (*lens.thin_prism_coeffs, 0.0, 0.0, 0.0, 0.0)[:4]
        z = np.where(rays[..., 2] > 1e-6, rays[..., 2], 1.0)
        x, y = rays[..., 0] / z, rays[..., 1] / z
        r2 = x * x + y * y
        return np.stack(
            [
                2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x) + s1 * r2 + s2 * r2 * r2,
                p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y + s3 * r2 + s4 * r2 * r2,
            ],
            axis=-1,
        )


def _rational(r2: Float, coefficients: list[float]) -> Float:
    """Squared radii and k1 .. k6 -> OpenCV's radial factor."""
    k = (*coefficients, *[0.0] * 6)[:6]
    return (1.0 + r2 * (k[0] + r2 * (k[1] + r2 * k[2]))) / (1.0 + r2 * (k[3] + r2 * (k[4] + r2 * k[5])))


class Resampler:
    """Pictures of a sender's camera -> pictures of one of the policy's; built once a session, then only looked up.

    `turn` (3, 3) maps directions of the policy's camera to the sender's; the identity where the sender does not say
    how its camera stands. Where both cameras are one and the same, pictures pass unchanged.
    """

    def __init__(self, lens: Lens, target: Camera, turn: Float) -> None:
        self.name, self.width, self.height = lens.name, int(lens.spec.resolution_w), int(lens.spec.resolution_h)
        rays = ray_table(target)
        pixel, seen = lens.project(rays @ turn.T)
        centres = np.stack(np.meshgrid(np.arange(target.width), np.arange(target.height)), axis=-1)
        same_size = (self.width, self.height) == (target.width, target.height)
        self.as_is = bool(same_size and seen.all() and np.abs(pixel - centres).max() < 0.05)
        inside = seen & (pixel > -1.0).all(axis=-1) & (pixel[..., 0] < self.width) & (pixel[..., 1] < self.height)
        self.share = float(inside.mean())  # of the policy's picture that the sender's camera sees
        axis = unproject(target, np.array([[target.cx, target.cy], [target.cx + 1.0, target.cy]])) @ turn.T
        at_axis, _ = lens.project(axis)
        pitch = max(float(np.linalg.norm(at_axis[1] - at_axis[0])), 1e-6)
        self.shrink = 1.0 / pitch if pitch > COARSE else 1.0
        scaled = np.array([max(1, round(self.width * self.shrink)), max(1, round(self.height * self.shrink))])
        self.size = (int(scaled[0]), int(scaled[1]))
        pixel = (pixel + HALF_PIXEL) * scaled / (self.width, self.height) - HALF_PIXEL
        self.x, self.y = (np.where(inside, pixel[..., k], -10.0).astype(np.float32) for k in range(2))

    def picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture (H, W, 3) of the sender's camera -> that of the policy's; ValueError for one of another size."""
        height, width = image.shape[:2]
        if (width, height) != (self.width, self.height):
            # renderers may draw at another size than the lens is described for, as long as the shape is the same
            if abs(width * self.height - height * self.width) > max(self.width, self.height):
                raise ValueError(
                    f"the picture of {self.name!r} has {width} x {height} pixels, its camera {self.width} x "
                    f"{self.height}; send pictures of the camera's shape"
                )
            if self.as_is:
                return _bytes(cv2.resize(image, (self.width, self.height), interpolation=cv2.INTER_AREA))
        elif self.as_is:
            return image
        if (width, height) != self.size:
            image = _bytes(cv2.resize(image, self.size, interpolation=cv2.INTER_AREA))
        return _bytes(cv2.remap(image, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))


def _bytes(image: cv2.typing.MatLike) -> NDArray[np.uint8]:
    return np.asarray(image, dtype=np.uint8)
