"""Rewrite the README's file map from the first docstring lines of all modules: python -m recipes.file_map."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "cordillera"


def first_line(path: Path) -> str:
    """The first sentence of a module's docstring on one line, without markup."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-z0-9)`])\. ", text)[0].rstrip(".")
    return textwrap.shorten(sentence, 118, placeholder=" ...")


def main() -> None:
    modules = [p.relative_to(PACKAGE).as_posix() for p in sorted(PACKAGE.rglob("*.py")) if p.name != "__init__.py"]
    modules.sort(key=lambda name: ("/" in name, name))
    width = max(map(len, modules)) + 2
    lines = [f"{name:{width}}{first_line(PACKAGE / name)}" for name in modules]
    readme = ROOT / "README.md"
    head, rest = readme.read_text(encoding="utf-8").split("## File map\n")
    tail = rest[rest.index("\n## ") :]
    intro = "Everything in `src/cordillera/`, in one line each; `tests/test_structure.py` keeps this list complete.\n"
    part = readme.with_name(".README.part")
    part.write_text(f"{head}## File map\n{intro}\n```\n" + "\n".join(lines) + f"\n```\n{tail}", encoding="utf-8")
    part.replace(readme)


if __name__ == "__main__":
    main()
