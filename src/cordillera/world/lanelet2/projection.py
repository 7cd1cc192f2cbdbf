"""Latitude and longitude <-> metres of the UTM zone (transverse Mercator on WGS 84).

The series is Krüger's in the third flattening n, to the sixth order: C. F. F. Karney, "Transverse Mercator with an
accuracy of a few nanometers", J. Geodesy 85 (2011), equations 7 to 36. UTM is what Lanelet2's `UtmProjector` and the
MGRS coordinates of `local_x`, `local_y` use, so maps keep their shape against both; its scale is within 0.04 % of 1
in the middle of a zone.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.types import Float

A_M, F = 6378137.0, 1.0 / 298.257223563  # WGS 84
K0 = 0.9996
N = F / (2.0 - F)
E2 = F * (2.0 - F)
E1 = math.sqrt(E2)
RECTIFYING_M = A_M / (1.0 + N) * (1.0 + N**2 / 4.0 + N**4 / 64.0 + N**6 / 256.0)
ALPHA = (
    N / 2 - 2 * N**2 / 3 + 5 * N**3 / 16 + 41 * N**4 / 180 - 127 * N**5 / 288 + 7891 * N**6 / 37800,
    13 * N**2 / 48 - 3 * N**3 / 5 + 557 * N**4 / 1440 + 281 * N**5 / 630 - 1983433 * N**6 / 1935360,
    61 * N**3 / 240 - 103 * N**4 / 140 + 15061 * N**5 / 26880 + 167603 * N**6 / 181440,
    49561 * N**4 / 161280 - 179 * N**5 / 168 + 6601661 * N**6 / 7257600,
    34729 * N**5 / 80640 - 3418889 * N**6 / 1995840,
    212378941 * N**6 / 319334400,
)
BETA = (
    N / 2 - 2 * N**2 / 3 + 37 * N**3 / 96 - N**4 / 360 - 81 * N**5 / 512 + 96199 * N**6 / 604800,
    N**2 / 48 + N**3 / 15 - 437 * N**4 / 1440 + 46 * N**5 / 105 - 1118711 * N**6 / 3870720,
    17 * N**3 / 480 - 37 * N**4 / 840 - 209 * N**5 / 4480 + 5569 * N**6 / 90720,
    4397 * N**4 / 161280 - 11 * N**5 / 504 - 830251 * N**6 / 7257600,
    4583 * N**5 / 161280 - 108847 * N**6 / 3991680,
    20648693 * N**6 / 638668800,
)


def utm_zone(lat_deg: float, lon_deg: float) -> int:
    """Latitude, longitude -> zone 1..60, with the exceptions for south-west Norway and Svalbard."""
    lon_deg = (lon_deg + 180.0) % 360.0 - 180.0
    if 56.0 <= lat_deg < 64.0 and 3.0 <= lon_deg < 12.0:
        return 32
    if 72.0 <= lat_deg < 84.0 and 0.0 <= lon_deg < 42.0:
        return (31, 33, 35, 37)[int((lon_deg + 3.0) // 12.0)]
    return min(60, int((lon_deg + 180.0) // 6.0) + 1)


def utm_of(lat_lon_deg: Float, zone: int) -> Float:
    """Degrees (..., 2) -> easting and northing (..., 2) in metres from the equator and the zone's central meridian."""
    lat, lon = np.radians(lat_lon_deg[..., 0]), np.radians(lat_lon_deg[..., 1] - (6.0 * zone - 183.0))
    lon = (lon + np.pi) % (2.0 * np.pi) - np.pi
    tau = np.tan(lat)
    sigma = np.sinh(E1 * np.arctanh(E1 * np.sin(lat)))
    tau_c = tau * np.hypot(1.0, sigma) - sigma * np.hypot(1.0, tau)  # tangent of the conformal latitude
    xi, eta = np.arctan2(tau_c, np.cos(lon)), np.arcsinh(np.sin(lon) / np.hypot(tau_c, np.cos(lon)))
    x, y = eta.copy(), xi.copy()
    for j, a in enumerate(ALPHA, start=1):
        y += a * np.sin(2 * j * xi) * np.cosh(2 * j * eta)
        x += a * np.cos(2 * j * xi) * np.sinh(2 * j * eta)
    return K0 * RECTIFYING_M * np.stack([x, y], axis=-1)


def lat_lon_of(utm_m: Float, zone: int) -> Float:
    """The inverse of `utm_of`: easting and northing (..., 2) -> degrees (..., 2)."""
    eta, xi = np.moveaxis(np.asarray(utm_m, dtype=np.float64), -1, 0) / (K0 * RECTIFYING_M)
    x, y = eta.copy(), xi.copy()
    for j, b in enumerate(BETA, start=1):
        y = y - b * np.sin(2 * j * xi) * np.cosh(2 * j * eta)
        x = x - b * np.cos(2 * j * xi) * np.sinh(2 * j * eta)
    tau_c = np.sin(y) / np.hypot(np.sinh(x), np.cos(y))
    tau = tau_c / (1.0 - E2)
    for _ in range(4):  # Newton's method on tau -> tau_c; two steps reach machine precision
        sigma = np.sinh(E1 * np.arctanh(E1 * tau / np.hypot(1.0, tau)))
        guess = tau * np.hypot(1.0, sigma) - sigma * np.hypot(1.0, tau)
        slope = (1.0 + (1.0 - E2) * tau**2) / ((1.0 - E2) * np.hypot(1.0, guess) * np.hypot(1.0, tau))  # dtau / dtau_c
        tau = tau + (tau_c - guess) * slope
    lon = np.degrees(np.arctan2(np.sinh(x), np.cos(y))) + 6.0 * zone - 183.0
    return np.stack([np.degrees(np.arctan(tau)), (lon + 180.0) % 360.0 - 180.0], axis=-1)
