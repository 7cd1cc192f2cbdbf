"""Columns -> Parquet bytes that pandas opens with the right index, and Parquet bytes -> columns. pyarrow only.

The layout's readers address rows by a pandas index (`table.loc[clip_id]`). pandas finds its index in the schema's
metadata, so that is written here by hand, and pandas itself is not needed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Columns = Mapping[str, Any]  # name -> values: a numpy array (N,), or a sequence of N values, lists included
_NUMPY_NAMES = {"bool": "bool", "int64": "int64", "int32": "int32", "double": "float64", "float": "float32"}


def to_table(columns: Columns, index: Sequence[str] = ()) -> pa.Table:
    """Named columns of one length, and which of them make the pandas index -> an Arrow table.

    Raises ValueError if the lengths differ or an index column is missing.
    """
    missing = [name for name in index if name not in columns]
    if missing:
        raise ValueError(f"table: index columns {missing} are not among {list(columns)}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"table: columns of unequal length: {lengths}")
    arrays = {name: pa.array(values) for name, values in columns.items()}
    table = pa.table(arrays)
    described = [_described(name, array.type) for name, array in arrays.items()]
    kept = list(index) or [{"kind": "range", "name": None, "start": 0, "stop": table.num_rows, "step": 1}]
    pandas = {"index_columns": kept, "column_indexes": [], "columns": described, "pandas_version": "2.2.0"}
    return table.replace_schema_metadata({b"pandas": json.dumps(pandas).encode()})


def _described(name: str, kind: pa.DataType) -> dict[str, Any]:
    """One column as pandas' metadata describes it."""
    numpy_name = _NUMPY_NAMES.get(str(kind), "object")
    pandas_name = "unicode" if pa.types.is_string(kind) else numpy_name
    return {"name": name, "field_name": name, "pandas_type": pandas_name, "numpy_type": numpy_name, "metadata": None}


def to_bytes(columns: Columns, index: Sequence[str] = ()) -> bytes:
    """Named columns -> the bytes of a Parquet file; the same columns give the same bytes."""
    sink = io.BytesIO()
    pq.write_table(to_table(columns, index), sink, compression="zstd")
    return sink.getvalue()


def from_bytes(data: bytes, source: str) -> dict[str, Any]:
    """Bytes of a Parquet file -> its columns: numpy arrays where possible, else lists. `source` names it in errors."""
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{source}: not a readable Parquet file ({error}); write it again") from error
    return {name: _values(table.column(name)) for name in table.column_names}


def from_file(path: Path) -> dict[str, Any]:
    """A Parquet file -> its columns; ValueError names the file if it is missing or broken."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return from_bytes(path.read_bytes(), str(path))


def _values(column: pa.ChunkedArray) -> Any:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return np.asarray(column.to_numpy())
    return column.to_pylist()
