"""A rollout <-> one self-describing file that reloads to equal values.

The file is a zip of `manifest.json` and .npy arrays, so any npz reader opens the arrays. The manifest is a tree of
columns with the names of types and fields as in `cordillera.types`; there is no pickle. Values are stored by column:
600 steps of 40 agents become a few stacked arrays, which compress well.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

import cordillera.types as vocabulary
from cordillera.types import Rollout

FORMAT = "cordillera-rollout"
VERSION = 1
Node = dict[str, Any]
SCALARS: dict[str, type] = {"bool": bool, "int": int, "float": float}
DTYPES = {"bool": np.bool_, "int": np.int64, "float": np.float64}


def write_rollout(rollout: Rollout, path: Path) -> None:
    """Write a rollout to `path`, under a temporary name first; ValueError names a value that has no place in it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = _Writer()
    tree = writer.column([rollout], "rollout")
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "about": "columns of the dataclasses of cordillera.types; units stand in the field names; SI and radians",
        "tree": tree,
    }
    part = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _put(archive, "manifest.json", json.dumps(manifest, indent=1).encode())
        for k, array in enumerate(writer.arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            _put(archive, f"a{k}.npy", buffer.getvalue())
    part.replace(path)


def read_rollout(path: Path) -> Rollout:
    """Read what `write_rollout` wrote; ValueError names the file and what is missing, unknown or broken in it."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such rollout file")
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
                found = f"{manifest.get('format')} version {manifest.get('version')}"
                raise ValueError(f"{path}: manifest.json says {found}; this program reads {FORMAT} version {VERSION}")
            return _Reader(path, archive).column(manifest["tree"], "rollout")[0]
    except (zipfile.BadZipFile, json.JSONDecodeError, EOFError, OSError) as error:
        raise ValueError(f"{path}: the file is damaged or cut short ({error}); write the rollout again") from error
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path}: manifest.json does not describe a rollout ({error!r}); write it again") from error


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    # A fixed date, so that the same rollout gives the same bytes.
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


class _Writer:
    """Turns columns (lists of values) into nodes, and collects their arrays."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []

    def column(self, values: list[Any], where: str) -> Node:
        kinds = list(dict.fromkeys(type(v) for v in values))
        if len(kinds) > 1:
            which = [kinds.index(type(v)) for v in values]
            parts = [self.column([v for v in values if type(v) is kind], where) for kind in kinds]
            return {"kind": "union", "which": self._keep(np.array(which, dtype=np.int64)), "parts": parts}
        kind = kinds[0] if kinds else type(None)
        if kind is type(None):
            return {"kind": "none", "count": len(values)}
        if is_dataclass(kind):
            return self._record(kind, values, where)
        if issubclass(kind, Enum):
            names = self.column([v.name for v in values], where)
            return {"kind": "enum", "type": kind.__name__, "names": names}
        for name, scalar in SCALARS.items():
            if kind is scalar:
                return {"kind": name, "values": self._keep(np.array(values, dtype=DTYPES[name]))}
        if kind is str:
            words = list(dict.fromkeys(values))
            place = {word: k for k, word in enumerate(words)}
            index = np.array([place[v] for v in values], dtype=np.int64)
            return {"kind": "text", "words": words, "index": self._keep(index)}
        if kind is tuple:
            lengths = self._keep(np.array([len(v) for v in values], dtype=np.int64))
            return {"kind": "tuple", "lengths": lengths, "items": self.column([x for v in values for x in v], where)}
        if issubclass(kind, np.ndarray | np.generic):
            return self._array([np.asarray(v) for v in values], issubclass(kind, np.generic), where)
        raise ValueError(f"{where}: a {kind.__name__} has no place in a rollout file")

    def _record(self, kind: type, values: list[Any], where: str) -> Node:
        if getattr(vocabulary, kind.__name__, None) is not kind:
            raise ValueError(f"{where}: {kind.__name__} is no type of cordillera.types")
        columns = {f.name: self.column([getattr(v, f.name) for v in values], f"{where}.{f.name}") for f in fields(kind)}
        return {"kind": "record", "type": kind.__name__, "count": len(values), "fields": columns}

    def _array(self, values: list[np.ndarray], scalar: bool, where: str) -> Node:
        if values[0].dtype.kind not in "biuf":
            raise ValueError(f"{where}: arrays of {values[0].dtype} have no place in a rollout file")
        if any(v.dtype != values[0].dtype for v in values):
            parts = [self._array([v], scalar, where) for v in values]
            return {"kind": "list", "parts": parts}
        shapes = list(dict.fromkeys(v.shape for v in values))
        node: Node = {"kind": "scalar" if scalar else "array", "shapes": [list(s) for s in shapes]}
        if len(shapes) > 1:
            node["which"] = self._keep(np.array([shapes.index(v.shape) for v in values], dtype=np.int64))
            node["values"] = self._keep(np.concatenate([v.ravel() for v in values]))
        else:
            node["values"] = self._keep(np.stack(values))
        return node

    def _keep(self, array: np.ndarray) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1


class _Reader:
    """Turns nodes back into columns."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self.archive = path, archive

    def column(self, node: Node, where: str) -> list[Any]:
        readers: dict[str, Callable[[Node, str], list[Any]]] = {
            "union": self._union,
            "none": lambda n, _: [None] * int(n["count"]),
            "record": self._record,
            "enum": self._enum,
            "text": lambda n, w: [n["words"][k] for k in self._load(n["index"], w)],
            "tuple": self._tuple,
            "array": self._array,
            "scalar": lambda n, w: [v[()] for v in self._array(n, w)],
            "list": lambda n, w: [v for part in n["parts"] for v in self.column(part, w)],
        }
        kind = node["kind"]
        if kind in SCALARS:
            return [SCALARS[kind](v) for v in self._load(node["values"], where)]
        if kind not in readers:
            raise ValueError(f"{self.path}: {where}: column of the unknown kind {kind!r}; a newer program wrote it")
        return readers[kind](node, where)

    def _load(self, key: int, where: str) -> np.ndarray:
        try:
            data = self.archive.read(f"a{key}.npy")
            return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{self.path}: {where}: array a{key}.npy is missing or damaged ({error})") from error

    def _union(self, node: Node, where: str) -> list[Any]:
        parts = [iter(self.column(part, where)) for part in node["parts"]]
        return [next(parts[k]) for k in self._load(node["which"], where)]

    def _record(self, node: Node, where: str) -> list[Any]:
        kind = getattr(vocabulary, node["type"], None)
        if not isinstance(kind, type) or not is_dataclass(kind):
            raise ValueError(f"{self.path}: {where}: unknown type {node['type']!r}; a newer program wrote it")
        known = {f.name: f for f in fields(kind)}
        if unknown := set(node["fields"]) - set(known):
            raise ValueError(f"{self.path}: {where}: {node['type']} has no field {sorted(unknown)[0]!r}")
        for name, f in known.items():
            if name not in node["fields"] and f.default is MISSING and f.default_factory is MISSING:
                raise ValueError(f"{self.path}: {where}: {node['type']} lacks its field {name!r}")
        columns = {name: self.column(child, f"{where}.{name}") for name, child in node["fields"].items()}
        return [kind(**{name: values[k] for name, values in columns.items()}) for k in range(int(node["count"]))]

    def _enum(self, node: Node, where: str) -> list[Any]:
        kind = getattr(vocabulary, node["type"], None)
        if not isinstance(kind, type) or not issubclass(kind, Enum):
            raise ValueError(f"{self.path}: {where}: unknown enumeration {node['type']!r}")
        names = self.column(node["names"], where)
        if unknown := set(names) - set(kind.__members__):
            raise ValueError(f"{self.path}: {where}: {node['type']} has no member {sorted(unknown)[0]!r}")
        return [kind[name] for name in names]

    def _tuple(self, node: Node, where: str) -> list[Any]:
        items = iter(self.column(node["items"], where))
        return [tuple(next(items) for _ in range(n)) for n in self._load(node["lengths"], where)]

    def _array(self, node: Node, where: str) -> list[Any]:
        values = self._load(node["values"], where)
        if "which" not in node:
            return list(values)
        out, start = [], 0
        for k in self._load(node["which"], where):
            shape = tuple(node["shapes"][k])
            count = int(np.prod(shape))
            out.append(values[start : start + count].reshape(shape))
            start += count
        return out
