"""An OSM-XML file of Lanelet2 -> its nodes, ways and relations, and the notes of what had to be assumed."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

MAX_BYTES = 512 * 1024 * 1024  # uncompressed
GZIP_MAGIC = b"\x1f\x8b"
FARTHEST_M = 4e7  # around the Earth


class Lanelet2Error(ValueError):
    """A file that cannot be read as a road network; the message names file, element, field and remedy."""


class Notes:
    """What was assumed, grouped: each kind of defect with what was taken instead, its count and the first place."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}
        self._count: dict[tuple[str, str], int] = {}

    def add(self, defect: str, taken: str, place: str = "") -> None:
        """Count one more case of `defect`, for which `taken` was done, seen at `place`."""
        key = (defect, taken)
        self._first.setdefault(key, place)
        self._count[key] = self._count.get(key, 0) + 1

    def lines(self) -> tuple[str, ...]:
        """One sentence for each kind of defect, in the order in which they were met."""
        out = []
        for (defect, taken), place in self._first.items():
            count = self._count[defect, taken]
            times = "once" if count == 1 else f"{count} times"
            first = f", {'at' if count == 1 else 'first at'} {place}" if place else ""
            out.append(f"{defect} ({times}{first}): {taken}")
        return tuple(out)


@dataclass(frozen=True)
class Node:
    """A point: geographic and local coordinates as written, NaN where absent."""

    id: str
    lat_lon: tuple[float, float]
    local_xy: tuple[float, float]
    ele_m: float
    tags: dict[str, str]


@dataclass(frozen=True)
class Way:
    """A line through nodes."""

    id: str
    nodes: tuple[str, ...]
    tags: dict[str, str]


@dataclass(frozen=True)
class Member:
    role: str
    kind: str  # "way", "relation" or "node"
    ref: str


@dataclass(frozen=True)
class Relation:
    """A lanelet, an area or a regulatory element."""

    id: str
    members: tuple[Member, ...]
    tags: dict[str, str]

    def refs(self, role: str, kind: str) -> tuple[str, ...]:
        """The members of one role and kind."""
        return tuple(m.ref for m in self.members if m.role == role and m.kind == kind)


@dataclass(frozen=True)
class Osm:
    """A file: elements by id, in the file's order."""

    file: str
    nodes: dict[str, Node]
    ways: dict[str, Way]
    relations: dict[str, Relation]
    notes: Notes = field(default_factory=Notes)

    def broken(self, place: str, defect: str, remedy: str) -> Lanelet2Error:
        """The error for a defect that cannot be repaired."""
        where = f"{self.file}: {place}" if place else self.file
        return Lanelet2Error(f"{where}: {defect}. {remedy}")


def read_bytes(path: Path) -> bytes:
    """The bytes of an .osm or .osm.gz file, unpacked; Lanelet2Error where there is none or it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Lanelet2Error(f"{path}: no such file. Give the path of an .osm or .osm.gz file.") from None
    except OSError as error:
        raise Lanelet2Error(f"{path}: cannot be read ({error.strerror}). Give an .osm file.") from error
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        with gzip.open(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Lanelet2Error(f"{path.name}: the gzip packing is damaged ({error}). Copy the file again.") from error
    if len(data) > MAX_BYTES:
        raise Lanelet2Error(f"{path.name}: larger than {MAX_BYTES >> 20} MiB unpacked. Split the map.")
    return data


def parse_osm(data: bytes, file: str) -> Osm:
    """XML bytes and the file's name for messages -> its elements; Lanelet2Error where it is no OSM file.

    Elements that an editor has marked as deleted are left out. Entity declarations are refused: no map needs them,
    and nested ones blow up to any size.
    """
    if b"<!ENTITY" in data:
        raise Lanelet2Error(f"{file}: the file declares XML entities. Remove the <!DOCTYPE ...> block.")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise Lanelet2Error(f"{file}: not well-formed XML ({error}). Repair or export the file again.") from error
    if root.tag != "osm":
        raise Lanelet2Error(f"{file}: the root is <{root.tag}>, not <osm>. Give a Lanelet2 map in OSM-XML.")
    osm = Osm(file, {}, {}, {})
    readers = {"node": _read_node, "way": _read_way, "relation": _read_relation}
    for element in root:
        if element.tag not in readers or element.get("action") == "delete" or element.get("visible") == "false":
            continue
        if not element.get("id"):
            raise osm.broken(f"<{element.tag}> with tags {_tags(element)}", "lacks attribute 'id'", "Give it a number.")
        readers[element.tag](osm, element)
    return osm


def _tags(element: ElementTree.Element) -> dict[str, str]:
    return {tag.get("k", ""): (tag.get("v") or "").strip() for tag in element.iter("tag")}


def _read_node(osm: Osm, element: ElementTree.Element) -> None:
    tags, place = _tags(element), f"node {element.get('id')}"
    lat, lon = (_degrees(osm, element.get(name), name, place) for name in ("lat", "lon"))
    x, y, ele = (_metres(osm, tags.get(name), name, place) for name in ("local_x", "local_y", "ele"))
    if not (math.isnan(lat) or -90.0 <= lat <= 90.0) or not (math.isnan(lon) or -360.0 <= lon <= 360.0):
        raise osm.broken(place, f"lat={lat:g}, lon={lon:g} is no place on Earth", "Write degrees.")
    osm.nodes[element.get("id", "")] = Node(element.get("id", ""), (lat, lon), (x, y), ele, tags)


def _degrees(osm: Osm, text: str | None, name: str, place: str) -> float:
    """A finite number, or NaN where the file has none; Lanelet2Error for a text that is no number."""
    try:
        value = float(text) if text and text.strip() else math.nan
    except ValueError:
        raise osm.broken(place, f"{name}={text!r} is not a number", "Write degrees as in 49.0123.") from None
    return value if math.isfinite(value) else math.nan


def _metres(osm: Osm, text: str | None, name: str, place: str) -> float:
    """A tag's number of sensible size, or NaN where the file has none; a text that is none is noted."""
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < FARTHEST_M:
        osm.notes.add(f"{name} is no number of metres", "taken as missing", f"{place}, {text!r}")
        return math.nan
    return value


def _read_way(osm: Osm, element: ElementTree.Element) -> None:
    nodes = tuple(nd.get("ref", "") for nd in element.iter("nd"))
    osm.ways[element.get("id", "")] = Way(element.get("id", ""), nodes, _tags(element))


def _read_relation(osm: Osm, element: ElementTree.Element) -> None:
    members = tuple(Member(m.get("role", ""), m.get("type", ""), m.get("ref", "")) for m in element.iter("member"))
    osm.relations[element.get("id", "")] = Relation(element.get("id", ""), members, _tags(element))
