"""ASL files: records in, the same records out, and damage named."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordillera.serve.asl import read_records, write_records


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(st.binary(max_size=200), max_size=12))
def test_records_come_back(tmp_path: Path, records: list[bytes]) -> None:
    path = tmp_path / "a.asl"
    assert write_records(path, records) == len(records)
    assert list(read_records(path)) == records
    assert path.read_bytes() == b"".join(struct.pack(">I", len(r)) + r for r in records)


def test_what_is_whole_is_given_before_the_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.asl"
    write_records(path, [b"one", b"two", b"three"])
    whole = path.read_bytes()
    for cut, reason in ((1, "record 2 at byte 14 is cut short"), (6, "length of record 2")):
        path.write_bytes(whole[:-cut])
        seen = read_records(path)
        assert [next(seen), next(seen)] == [b"one", b"two"]
        with pytest.raises(ValueError, match=reason):
            next(seen)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.asl"
    path.write_bytes(b"\xff\xff\xff\xff and so on")
    with pytest.raises(ValueError, match="no ASL file"):
        list(read_records(path))
    with pytest.raises(ValueError, match="no such"):
        list(read_records(tmp_path / "none.asl"))
