"""Weather, hour and seed -> the light of a scene: sun, sky, fog, wetness, and whether lamps are lit."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.textures import sky_picture
from cordillera.types import Float, Weather

LATITUDE_DEG, DECLINATION_DEG = 46.0, 12.0
FOG_PER_M = {
    Weather.CLEAR: 1.0 / 4500.0,
    Weather.CLOUDY: 1.0 / 2500.0,
    Weather.RAIN: 1.0 / 500.0,
    Weather.FOG: 1.0 / 62.0,
}


class Light(NamedTuple):
    """Linear light for the shader; a white surface under `sun` and `sky_up` together is about 1 at noon."""

    sun_dir: Float  # (3,) towards the light that casts shadows
    sun: Float  # (3,)
    sky_up: Float  # (3,) on a surface that looks up
    sky_down: Float  # (3,) on a surface that looks down
    fog: Float  # (3,) colour of the air
    fog_per_m: float
    wet: float  # 0..1
    dark: float  # 0 by day, 1 by night
    lamps: bool  # vehicles, streets and windows are lit
    exposure: float
    sky: NDArray[np.float32]  # (512, 512, 3) octahedral
    rain: float


def sun_direction(hour: float) -> Float:
    """Local solar time -> unit vector to the sun, x east, y north, z up, on a day in spring at 46 degrees north."""
    turn = math.radians(15.0 * (hour - 12.0))
    lat, dec = math.radians(LATITUDE_DEG), math.radians(DECLINATION_DEG)
    east = -math.cos(dec) * math.sin(turn)
    north = math.sin(dec) * math.cos(lat) - math.cos(dec) * math.sin(lat) * math.cos(turn)
    up = math.sin(dec) * math.sin(lat) + math.cos(dec) * math.cos(lat) * math.cos(turn)
    return np.array([east, north, up])


def light_of(weather: Weather, hour: float, seed: int) -> Light:
    """The conditions of a scenario -> its light."""
    sun_dir = sun_direction(hour)
    high = sun_dir[2]
    day = float(np.clip((high + 0.10) / 0.25, 0.0, 1.0)) ** 1.5
    low = float(np.clip(1.0 - high / 0.35, 0.0, 1.0)) * float(high > -0.1)
    direct = float(np.clip(high / 0.12, 0.0, 1.0)) ** 0.7
    cover = {Weather.CLEAR: 0.28, Weather.CLOUDY: 1.0, Weather.RAIN: 1.25, Weather.FOG: 1.0}[weather]
    open_sky = weather == Weather.CLEAR
    strength = {Weather.CLEAR: 1.0, Weather.CLOUDY: 0.16, Weather.RAIN: 0.10, Weather.FOG: 0.10}[weather]
    warm = np.array([1.0, 0.93 - 0.30 * low, 0.84 - 0.55 * low])
    sun = 1.15 * direct * strength * warm
    blue = np.array([0.26, 0.38, 0.62]) if open_sky else np.array([0.47, 0.50, 0.54])
    dim = {Weather.CLEAR: 0.95, Weather.CLOUDY: 1.15, Weather.RAIN: 0.72, Weather.FOG: 1.10}[weather]
    night_sky = np.array([0.0046, 0.0056, 0.0085])
    up = day * dim * (blue + 0.12 * low * np.array([1.0, 0.5, 0.2])) + night_sky
    down = 0.42 * day * dim * np.array([0.36, 0.34, 0.30]) + 0.5 * night_sky
    pale = np.array([0.62, 0.72, 0.86]) if open_sky else np.array([0.60, 0.63, 0.67])
    pale = pale + (np.array([0.95, 0.55, 0.28]) - pale) * (0.65 * low if open_sky else 0.1 * low)
    zenith = np.array([0.10, 0.23, 0.58]) if open_sky else np.array([0.42, 0.46, 0.52])
    town_glow = np.array([0.020, 0.016, 0.014])
    horizon = day * dim * pale + town_glow
    glow = day * warm * (1.0 if open_sky else 0.12)
    clouds = day * dim * (np.array([1.0, 0.98, 0.95]) if open_sky else np.array([0.66, 0.68, 0.71])) + 0.6 * town_glow
    hills = horizon * np.array([0.62, 0.70, 0.78]) if weather != Weather.FOG else horizon
    sky = sky_picture(horizon, day * dim * zenith + night_sky, sun_dir, glow, cover, clouds, hills, seed)  # type: ignore[arg-type]
    fog = horizon if weather != Weather.FOG else day * 0.78 * np.array([0.92, 0.95, 1.0]) + 1.6 * town_glow
    if weather == Weather.FOG:
        sky = (0.06 * sky + 0.94 * fog).astype(np.float32)
    caster = sun_dir if direct > 0.0 and open_sky else np.array([0.12, 0.08, 0.99])
    dark = 1.0 - day
    return Light(
        caster / np.linalg.norm(caster),
        sun,
        up,
        down,
        fog.astype(np.float64),
        FOG_PER_M[weather],
        1.0 if weather == Weather.RAIN else 0.0,
        dark,
        dark > 0.45 or weather in (Weather.RAIN, Weather.FOG),
        1.45 + 1.6 * dark,
        sky,
        1.0 if weather == Weather.RAIN else 0.0,
    )
