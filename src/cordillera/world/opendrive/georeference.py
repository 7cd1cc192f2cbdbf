"""The <geoReference> of a header -> latitude and longitude of the map's origin."""

from __future__ import annotations

import math
import re
from xml.etree.ElementTree import Element

from cordillera.world.opendrive.source import Source

A_M, FLATTENING = 6378137.0, 1.0 / 298.257223563  # WGS 84
ON_ZONE_M = (100_000.0, 900_000.0)  # eastings that lie on a UTM zone or near it


def origin_of(header: Element | None, source: Source) -> tuple[float, float] | None:
    """(latitude, longitude) in degrees of world (0, 0), or None where the file does not say or it lies off the zone.

    Reads PROJ strings of transverse Mercator and UTM; the header's <offset> is what was taken off the projection.
    """
    element = header.find("geoReference") if header is not None else None
    text = (element.text or "").strip() if element is not None else ""
    if header is None or not text:
        return None
    words = {key: value or "" for key, value in re.findall(r"\+(\w+)(?:=([^\s+]+|[+-][^\s]+))?", text)}
    origin = header.find("offset")
    x, y = (source.number(origin, name, 0.0) if origin is not None else 0.0 for name in "xy")
    try:
        if words.get("proj") == "utm":
            if not ON_ZONE_M[0] < x < ON_ZONE_M[1]:  # world (0, 0) lies outside of the zone
                return (float(words["lat_0"]), float(words["lon_0"])) if {"lat_0", "lon_0"} <= words.keys() else None
            frame = (0.0, 6.0 * int(words["zone"]) - 183.0, 0.9996, 500000.0, 1e7 if "south" in words else 0.0)
        elif words.get("proj") in {"tmerc", "etmerc"}:
            scale = words.get("k_0", words.get("k", "1"))
            names = (
                words.get("lat_0", "0"),
                words.get("lon_0", "0"),
                scale,
                words.get("x_0", "0"),
                words.get("y_0", "0"),
            )
            frame = tuple(float(name) for name in names)
        elif "lat_0" in words and "lon_0" in words:
            return float(words["lat_0"]), float(words["lon_0"])
        else:
            source.notes.add("geoReference in a form other than PROJ tmerc or utm", "no origin taken", text[:60])
            return None
    except (ValueError, KeyError):
        source.notes.add("geoReference with a broken number", "no origin taken", text[:60])
        return None
    return _inverse_mercator(x - frame[3], y - frame[4], frame[0], frame[1], frame[2])


def _inverse_mercator(x: float, y: float, lat_0: float, lon_0: float, scale: float) -> tuple[float, float] | None:
    """Metres east and north of the origin (lat_0, lon_0) -> latitude, longitude in degrees; None beyond 1000 km east.

    Krüger's series to the third order in the third flattening (Karney 2011, equations 11, 35, 36), good to 1 mm.
    """
    if abs(x) > 1e6 or abs(y) > 1.1e7:
        return None
    n = FLATTENING / (2.0 - FLATTENING)
    radius = A_M / (1.0 + n) * (1.0 + n**2 / 4.0 + n**4 / 64.0) * scale
    beta = (n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96, n**2 / 48 + n**3 / 15, 17 * n**3 / 480)
    north, east = y / radius + _rectifying(math.radians(lat_0), n), x / radius
    xi, eta = north, east
    for k, b in enumerate(beta, 1):
        xi -= b * math.sin(2 * k * north) * math.cosh(2 * k * east)
        eta -= b * math.cos(2 * k * north) * math.sinh(2 * k * east)
    conformal = math.asin(math.sin(xi) / math.cosh(eta))
    eccentricity = math.sqrt(FLATTENING * (2.0 - FLATTENING))
    latitude = conformal
    for _ in range(6):
        isometric = math.asinh(math.tan(conformal)) + eccentricity * math.atanh(eccentricity * math.sin(latitude))
        latitude = math.atan(math.sinh(isometric))
    return math.degrees(latitude), lon_0 + math.degrees(math.atan2(math.sinh(eta), math.cos(xi)))


def _rectifying(latitude_rad: float, n: float) -> float:
    """Geodetic -> rectifying latitude in radians (Karney 2011, equation 35 on the meridian)."""
    e = math.sqrt(FLATTENING * (2.0 - FLATTENING))
    chi = math.atan(math.sinh(math.asinh(math.tan(latitude_rad)) - e * math.atanh(e * math.sin(latitude_rad))))
    alpha = (n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16, 13 * n**2 / 48 - 3 * n**3 / 5, 61 * n**3 / 240)
    return chi + sum(a * math.sin(2 * k * chi) for k, a in enumerate(alpha, 1))
