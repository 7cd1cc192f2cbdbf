"""Compile the contract's `.proto` files to descriptors and type stubs: python -m recipes.wire (needs grpcio-tools)."""

from __future__ import annotations

import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "src"
WIRE = ROOT / "cordillera" / "serve" / "wire"


def compiled() -> dict[str, bytes]:
    """Names of files in `serve/wire` -> the contents that the `.proto` files make."""
    from grpc_tools import protoc

    protos = sorted(path.relative_to(ROOT).as_posix() for path in WIRE.glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        binary = out / "alpasim.binpb"
        arguments = [f"-I{ROOT}", f"--descriptor_set_out={binary}", f"--pyi_out={out}", *protos]
        if protoc.main(["protoc", *arguments]):
            raise SystemExit("protoc failed; see above")
        return {path.name: path.read_bytes() for path in [binary, *sorted(out.rglob("*.pyi"))]}


def main() -> None:
    for name, content in compiled().items():
        part = WIRE / f".{name}.part"
        part.write_bytes(content)
        part.replace(WIRE / name)


if __name__ == "__main__":
    main()
