"""Nodes of a file -> points in metres: local coordinates where the file has them, else UTM about the map's middle."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import KDTree

from cordillera.types import Bool, Float
from cordillera.world.lanelet2.osm import Osm
from cordillera.world.lanelet2.projection import lat_lon_of, utm_of, utm_zone

FAR_M = 10_000.0  # local coordinates beyond this are moved, so that single precision stays below 1 mm
GRID_M = 100.0


@dataclass(frozen=True, eq=False)
class Points:
    """The nodes that ways use, in world coordinates."""

    row: dict[str, int]
    xyz: Float  # (N, 3)
    origin_lat_lon: tuple[float, float] | None
    has_height: bool

    _lines: dict[tuple[str, ...], Float] = field(default_factory=dict)

    def line(self, nodes: tuple[str, ...]) -> Float:
        """Node ids -> points (N, 3), repeated ones left out; the same array each time, so not to be written to."""
        if nodes not in self._lines:
            xyz = self.xyz[[self.row[i] for i in nodes]]
            keep = np.ones(len(xyz), dtype=bool)
            keep[1:] = (xyz[1:, 0] != xyz[:-1, 0]) | (xyz[1:, 1] != xyz[:-1, 1])
            self._lines[nodes] = xyz[keep]
        return self._lines[nodes]


def place_points(osm: Osm) -> Points:
    """A file -> its points; Lanelet2Error where a node that a way uses has no coordinates.

    World x and y are the file's local metres where every node has them, else UTM metres from the middle of the map.
    """
    used = dict.fromkeys(i for way in osm.ways.values() for i in way.nodes if i in osm.nodes)
    nodes = [osm.nodes[i] for i in used]
    if not nodes:
        raise osm.broken("", "no way refers to a node", "Give a Lanelet2 map in OSM-XML.")
    local = np.array([n.local_xy for n in nodes])
    lat_lon = np.array([n.lat_lon for n in nodes])
    is_local: Bool = np.isfinite(local.sum(axis=1))
    is_placed: Bool = np.isfinite(lat_lon.sum(axis=1))
    if not (is_local | is_placed).all():
        node = nodes[int(np.argmin(is_local | is_placed))]
        raise osm.broken(f"node {node.id}", "has neither lat and lon nor local_x and local_y", "Add one of the pairs.")
    if is_local.mean() >= 0.5 and (is_local & is_placed).any():
        local, is_local = _completed(osm, local, lat_lon, is_local), np.ones(len(nodes), dtype=bool)
    if is_local.all():
        xy, origin = _local(osm, local, lat_lon[is_placed], is_placed)
    elif is_placed.all():
        if is_local.any():
            osm.notes.add("local_x and local_y on few nodes only", "lat and lon taken for all")
        xy, origin = _projected(lat_lon)
    else:
        node = nodes[int(np.argmin(is_local if is_local.mean() > is_placed.mean() else is_placed))]
        raise osm.broken(
            f"node {node.id}", "some nodes have only lat and lon, others only local_x and local_y", "Write one for all."
        )
    z, has_height = _heights(osm, xy, np.array([n.ele_m for n in nodes]))
    rows = {node.id: i for i, node in enumerate(nodes)}
    return Points(rows, np.column_stack([xy, z]), origin, has_height)


def _projected(lat_lon: Float) -> tuple[Float, tuple[float, float]]:
    """Degrees (N, 2) -> metres from the middle of their bounding box, and that middle."""
    low, high = lat_lon.min(axis=0), lat_lon.max(axis=0)
    middle = np.round(0.5 * (low + high), 7)
    zone = utm_zone(*middle)
    return utm_of(lat_lon, zone) - utm_of(middle, zone), (float(middle[0]), float(middle[1]))


def _completed(osm: Osm, local: Float, lat_lon: Float, is_local: Bool) -> Float:
    """Local metres (N, 2), some missing, and degrees -> local metres of all, by the shift that the others show."""
    if is_local.all():
        return local
    zone = utm_zone(*np.nanmean(lat_lon, axis=0))
    utm = utm_of(lat_lon, zone)
    shift = np.nanmedian(local - utm, axis=0)
    osm.notes.add("local_x and local_y missing on single nodes", "taken from lat and lon")
    return np.where(is_local[:, None], local, utm + shift)


def _local(osm: Osm, local: Float, lat_lon: Float, is_placed: Bool) -> tuple[Float, tuple[float, float] | None]:
    """Local metres (N, 2), degrees of those that have any -> world metres, latitude and longitude of their zero."""
    middle = np.round(0.5 * (local.min(axis=0) + local.max(axis=0)) / GRID_M) * GRID_M
    shift = middle if np.abs(middle).max() > FAR_M else np.zeros(2)
    if shift.any():
        osm.notes.add(f"local coordinates far from zero, about {middle[0]:.0f}, {middle[1]:.0f}", "this was subtracted")
    origin = None
    if len(lat_lon):
        zone = utm_zone(*lat_lon.mean(axis=0))
        zero = (utm_of(lat_lon, zone) - (local[is_placed] - shift)).mean(axis=0)
        lat, lon = lat_lon_of(zero, zone)
        origin = (float(lat), float(lon))
    return local - shift, origin


def _heights(osm: Osm, xy: Float, ele: Float) -> tuple[Float, bool]:
    """Metres (N, 2), heights as written -> heights without gaps, and whether the file has heights at all."""
    known = np.isfinite(ele)
    if known.mean() < 0.5:
        osm.notes.add("heights (ele) missing on most nodes", "a flat map at height 0 taken")
        return np.zeros(len(ele)), False
    if not known.all():
        osm.notes.add("height (ele) missing on single nodes", "that of the nearest node taken")
        _, nearest = KDTree(xy[known]).query(xy[~known])
        ele = ele.copy()
        ele[~known] = ele[known][nearest]
    return ele, True
