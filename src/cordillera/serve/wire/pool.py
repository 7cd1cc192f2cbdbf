"""A file of the contract in, its message classes and enum values out.

The descriptors live in a pool of our own, not in protobuf's default one, so that AlpaSim's own stubs, or those of any
other package that carries the contract, can be imported into the same process: the default pool refuses a second file
that defines the same names. `alpasim.binpb` is compiled from the `.proto` files by `python -m recipes.wire`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

FOLDER = "cordillera/serve/wire"
COMPILED = Path(__file__).with_name("alpasim.binpb")
POOL = DescriptorPool()

for _file in descriptor_pb2.FileDescriptorSet.FromString(COMPILED.read_bytes()).file:
    POOL.Add(_file)


def names_of(stem: str) -> dict[str, Any]:
    """A file's stem -> what it defines at its top level: message classes, and the values of its enums."""
    file = POOL.FindFileByName(f"{FOLDER}/{stem}.proto")
    values = {v.name: v.number for enum in file.enum_types_by_name.values() for v in enum.values}
    return {name: GetMessageClass(message) for name, message in file.message_types_by_name.items()} | values
