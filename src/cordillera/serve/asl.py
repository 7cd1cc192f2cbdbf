"""Records <-> an ASL file: each a big-endian uint32 length and that many bytes, a serialised `logging.LogEntry`."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

HEAD = struct.Struct(">I")
MAX_RECORD_BYTES = 64 * 1024 * 1024
KEEP = "keep what is whole with --partial, or take the file again from the run that wrote it"


class DamagedError(ValueError):
    """An ASL file that breaks off or goes wrong; the records before are sound."""


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Serialised entries -> the file at `path`, under a temporary name first; how many were written."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    count = 0
    with part.open("wb") as file:
        for record in records:
            if len(record) > MAX_RECORD_BYTES:
                raise ValueError(f"{path}: record {count} has {len(record)} bytes; at most {MAX_RECORD_BYTES} are read")
            file.write(HEAD.pack(len(record)))
            file.write(record)
            count += 1
    part.replace(path)
    return count


def read_records(path: Path) -> Iterator[bytes]:
    """An ASL file -> its serialised entries in order; DamagedError names the byte where it is cut short or is none.

    A rollout that was stopped leaves its last record cut short; all those before it are given first.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such ASL file")
    with path.open("rb") as file:
        count, offset = 0, 0
        while head := file.read(HEAD.size):
            if len(head) < HEAD.size:
                raise DamagedError(
                    f"{path}: cut short at byte {offset}, within the length of record {count}; the {count} records "
                    f"before are whole: {KEEP}"
                )
            (length,) = HEAD.unpack(head)
            if length > MAX_RECORD_BYTES:
                remedy = KEEP if count else "give the .asl file that the runtime wrote"
                raise DamagedError(
                    f"{path}: at byte {offset} record {count} claims {length} bytes; this is no ASL file, or it is "
                    f"damaged there: {remedy}"
                )
            record = file.read(length)
            if len(record) < length:
                raise DamagedError(
                    f"{path}: record {count} at byte {offset} is cut short: {len(record)} of {length} bytes are there; "
                    f"the {count} records before are whole: {KEEP}"
                )
            yield record
            count += 1
            offset += HEAD.size + length
