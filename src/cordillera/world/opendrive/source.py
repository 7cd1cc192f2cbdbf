"""An OpenDRIVE file -> its XML tree without namespaces, numbers that name their place, and what had to be assumed."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

MAX_BYTES = 512 * 1024 * 1024  # uncompressed; the largest published city maps stay below 200 MB
GZIP_MAGIC = b"\x1f\x8b"


class OpenDriveError(ValueError):
    """A file that cannot be read as a road network; the message names file, road, field and remedy."""


class Notes:
    """What was assumed, grouped: each kind of defect with what was taken instead, its count and the first place."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[str]] = {}
        self._count: dict[tuple[str, str], int] = {}

    def add(self, defect: str, taken: str, place: str = "") -> None:
        """Count one more case of `defect`, for which `taken` was done, seen at `place`."""
        key = (defect, taken)
        self._count[key] = self._count.get(key, 0) + 1
        self._seen.setdefault(key, [place])

    def lines(self) -> tuple[str, ...]:
        """One sentence for each kind of defect, in the order in which they were met."""
        out = []
        for (defect, taken), (place, *_) in self._seen.items():
            count = self._count[defect, taken]
            times = "once" if count == 1 else f"{count} times"
            first = f", {'at' if count == 1 else 'first at'} {place}" if place else ""
            out.append(f"{defect} ({times}{first}): {taken}")
        return tuple(out)


@dataclass(frozen=True)
class Source:
    """The file under reading: its name for messages, and the notes of what was assumed."""

    file: str
    notes: Notes = field(default_factory=Notes)

    def broken(self, place: str, defect: str, remedy: str) -> OpenDriveError:
        """The error for a defect that cannot be repaired."""
        where = f"{self.file}: {place}" if place else self.file
        return OpenDriveError(f"{where}: {defect}. {remedy}")

    def need(self, element: ElementTree.Element, name: str, place: str) -> float:
        """A required finite number; OpenDriveError where it is missing or is none."""
        text = element.get(name)
        if text is None or not text.strip():
            raise self.broken(
                place, f"<{element.tag}> lacks attribute '{name}'", f'Add {name}="..." or export the road again.'
            )
        value = _finite(text)
        if value is None:
            raise self.broken(
                place, f'<{element.tag} {name}="{text}"> is not a finite number', "Write it as in 12.5 or 1.25e+1."
            )
        return value

    def number(self, element: ElementTree.Element, name: str, default: float, place: str = "") -> float:
        """An optional number; a value that is none counts as absent and is noted."""
        text = element.get(name)
        if text is None or not text.strip():
            return default
        value = _finite(text)
        if value is None:
            self.notes.add(f"<{element.tag}> {name} is not a number", f"{default:g} taken", place)
            return default
        return value

    def records(self, elements: Iterable[ElementTree.Element], at: str, names: str, place: str) -> list[list[float]]:
        """Polynomial records -> rows [start, a, b, c, d] sorted by start; absent coefficients are 0."""
        rows = [
            [self.need(element, at, place) if element.get(at) else self._zero_start(element, at, place)]
            + [self.number(element, name, 0.0, place) for name in names]
            for element in elements
        ]
        return sorted(rows, key=lambda row: row[0])

    def _zero_start(self, element: ElementTree.Element, at: str, place: str) -> float:
        self.notes.add(f"<{element.tag}> lacks {at}", "0 taken", place)
        return 0.0


def read_bytes(path: Path) -> bytes:
    """The bytes of a .xodr or .xodr.gz file, unpacked; OpenDriveError where there is none or it is too large."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OpenDriveError(f"{path.name}: larger than {MAX_BYTES >> 20} MiB. Split the map.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise OpenDriveError(f"{path}: no such file. Give the path of an .xodr or .xodr.gz file.") from None
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        with gzip.open(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise OpenDriveError(f"{path.name}: the gzip packing is damaged ({error}). Copy the file again.") from error
    if len(data) > MAX_BYTES:
        raise OpenDriveError(f"{path.name}: larger than {MAX_BYTES >> 20} MiB unpacked. Split the map.")
    return data


def parse_tree(data: bytes, source: Source) -> ElementTree.Element:
    """XML bytes -> the OpenDRIVE root, tags stripped of namespaces; OpenDriveError where it is no such file.

    Entity declarations are refused: no map needs them, and nested ones blow up to any size.
    """
    if b"<!ENTITY" in data:
        raise source.broken("", "the file declares XML entities", "Remove the <!DOCTYPE ...> block.")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise source.broken("", f"not well-formed XML ({error})", "Repair or export the file again.") from error
    for element in root.iter():
        if isinstance(element.tag, str) and "}" in element.tag:
            element.tag = element.tag.rpartition("}")[2]
    if root.tag.lower() != "opendrive":
        raise source.broken("", f"the root is <{root.tag}>, not <OpenDRIVE>", "Give an OpenDRIVE (.xodr) file.")
    return root


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
