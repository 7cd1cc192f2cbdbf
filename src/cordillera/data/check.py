"""A data set of ours -> whether its files are what was written; and links through which the hub's cache finds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cordillera.data.write import read_ledgers, sha256_of


def damaged_files(folder: Path) -> Iterator[tuple[str, str]]:
    """A set -> each file of its ledgers with "" if it is as written, else what is wrong with it."""
    for ledger in read_ledgers(folder):
        for name, digest in ledger["files"].items():
            path = folder / name
            if not path.is_file():
                yield name, "missing"
            else:
                yield name, "" if sha256_of(path) == digest else "changed since it was written"


def hub_view(folder: Path, cache: Path, repository: str, revision: str) -> Path:
    """Link a set into a Hugging Face cache folder, so that hub clients find it offline; returns the snapshot folder.

    `repository` is "owner/name", `revision` any 40 hexadecimal digits. Raises ValueError for other forms and where a
    snapshot of that revision is already there.
    """
    owner, _, name = repository.partition("/")
    if not owner or not name or "/" in name:
        raise ValueError(f"repository {repository!r} is not of the form owner/name")
    if len(revision) != 40 or any(c not in "0123456789abcdef" for c in revision):
        raise ValueError(f"revision {revision!r} is not 40 hexadecimal digits in lower case")
    root = cache / f"datasets--{owner}--{name}"
    snapshot = root / "snapshots" / revision
    if snapshot.exists():
        raise ValueError(f"{snapshot}: exists already; take another revision or delete it")
    for source in sorted(folder.rglob("*")):
        path = source.relative_to(folder)
        if source.is_file() and not any(part.startswith(".") for part in path.parts):
            target = snapshot / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))
    main = root / "refs" / "main"
    main.parent.mkdir(parents=True, exist_ok=True)
    main.write_text(revision)
    return snapshot
