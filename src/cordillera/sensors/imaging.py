"""A drawn picture -> what a sensor delivers of it: exposure, shot and read noise, and frames that never arrive.

Everything is a function of a seed, the camera and the time of the exposure, so the same drive gives the same bytes.
The drawn picture is developed already; it is taken back to linear light, where gain and noise belong. What it clipped
to white stays white. Stops are amplification, as of a sensor at its longest exposure: they raise the noise too.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import kernel
from cordillera.types import Camera, Float

Image = NDArray[np.uint8]
STEPS = 8192  # of the table from linear light to bytes
MASK = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class ImagingConfig:
    """The sensor. The defaults deliver every drawn picture as it is."""

    ev: float = 0.0  # exposure in stops, on top of the renderer's
    auto: bool = False  # the camera meters its last picture and turns `ev` itself, from 0 on
    key: float = 0.16  # mean linear light that the metering aims at
    lag_s: float = 0.5  # time in which it makes up 63 % of the way
    ev_range: tuple[float, float] = (-2.0, 2.0)
    well_electrons: float = math.inf  # electrons of a white pixel at ev 0: shot noise grows as they get fewer
    read_electrons: float = 0.0  # standard deviation of the read-out
    drop_rate: float = 0.0  # probability that a frame never arrives
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.ev_range
        if not 0.0 <= self.drop_rate < 1.0:
            raise ValueError(f"ImagingConfig: drop_rate is {self.drop_rate}, give a probability from 0 to below 1")
        if not (self.well_electrons > 0.0 and 0.0 <= self.read_electrons < math.inf):
            raise ValueError("ImagingConfig: give well_electrons above 0 and read_electrons from 0 on")
        if self.read_electrons > 0.0 and math.isinf(self.well_electrons):
            raise ValueError("ImagingConfig: read_electrons needs well_electrons, by which it is measured")
        if not (self.lag_s > 0.0 and low <= high):
            raise ValueError("ImagingConfig: give lag_s above 0, and the lower end of ev_range first")


NOISY = ImagingConfig(auto=True, well_electrons=6000.0, read_electrons=8.0, drop_rate=0.01)  # a small automotive sensor


def dropped(config: ImagingConfig, camera: Camera, t_us: int) -> bool:
    """A camera and the time of an exposure -> whether its frame is lost."""
    return config.drop_rate > 0.0 and _mix(_key(config, camera, t_us) ^ 0xD1B54A32D192ED03) < config.drop_rate * 2.0**64


def develop(config: ImagingConfig, camera: Camera, t_us: int, drawn: Image, ev: float) -> Image:
    """A drawn picture (H, W, 3) sRGB and the exposure in stops -> the picture that the sensor delivers, as large."""
    if ev == 0.0 and math.isinf(config.well_electrons) and config.read_electrons == 0.0:
        return drawn
    out = np.empty_like(drawn)
    gain = 2.0**ev
    shot = gain / config.well_electrons  # variance of linear light, at light 1 on the sensor's output
    read = (config.read_electrons / config.well_electrons * gain) ** 2 if config.read_electrons else 0.0
    _expose(drawn.reshape(-1), LINEAR, BYTES, gain, shot, read, np.uint64(_key(config, camera, t_us)), out.reshape(-1))
    return out


def metered(config: ImagingConfig, drawn: Image, ev: float, seconds: float) -> float:
    """The picture as drawn, the exposure that it was taken with, the time to the next -> the exposure of the next."""
    if not config.auto:
        return config.ev
    mean = float(LINEAR[drawn[::4, ::4]].mean())
    low, high = config.ev_range
    wanted = min(max(math.log2(config.key / max(mean, 1e-4)), low), high)
    return ev + (wanted - ev) * -math.expm1(-seconds / config.lag_s)


def first_ev(config: ImagingConfig) -> float:
    """The exposure of the first frame of a drive."""
    return 0.0 if config.auto else config.ev


def _linear_table() -> Float:
    """sRGB bytes -> linear light 0..1 (256,)."""
    value = np.arange(256) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _byte_table() -> Image:
    """Linear light in steps of 1 / STEPS -> sRGB bytes (STEPS + 1,)."""
    value = np.arange(STEPS + 1) / STEPS
    srgb = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1.0 / 2.4) - 0.055)
    return np.round(255.0 * srgb).astype(np.uint8)


LINEAR, BYTES = _linear_table(), _byte_table()


def _key(config: ImagingConfig, camera: Camera, t_us: int) -> int:
    """Seed, camera and time -> 64 bits."""
    return _mix(_mix(config.seed & MASK) ^ _mix(zlib.crc32(camera.name.encode())) ^ (t_us & MASK))


def _mix(x: int) -> int:
    """64 bits -> 64 bits that look random: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


@kernel
def _expose(
    drawn: Image, linear: Float, to_byte: Image, gain: float, shot: float, read: float, key: np.uint64, out: Image
) -> None:  # fmt: skip
    """Bytes -> linear light times gain, plus noise of variance shot * light + read, as bytes.

    The noise is the sum of the eight bytes of a hash, which is close to a normal distribution and the same everywhere.
    """
    for n in range(len(drawn)):
        light = gain * linear[drawn[n]]
        spread = math.sqrt(shot * light + read)
        if spread > 0.0:
            x = key + np.uint64(n + 1) * np.uint64(0x9E3779B97F4A7C15)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x = x ^ (x >> np.uint64(31))
            total = 0.0
            for k in range(8):
                total += float((x >> np.uint64(8 * k)) & np.uint64(255))
            light += spread * (total - 1020.0) / 209.0205731  # the sum's mean, and sqrt(8 * (256^2 - 1) / 12)
        out[n] = to_byte[int(min(max(light, 0.0), 1.0) * STEPS + 0.5)]
