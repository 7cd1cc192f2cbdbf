"""The shape of the code base: layers, addresses of heavy libraries, sizes, and the README's file map."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "cordillera"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the top down; what stands on one line are siblings, which never import each other.
LAYERS = (
    ("cli",),
    ("presets",),
    ("train", "serve", "viewer"),
    ("env",),
    ("evaluate",),
    ("loop",),
    ("policy", "runtime"),
    ("data",),
    ("reasoning",),
    ("world", "sensors"),
    ("geometry", "kinematics"),
    ("types", "kernels"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Library -> the only places (folders or files of the package) that may import it.
ADDRESSES = {
    "torch": ("policy/vla/", "train/", "runtime/quantize.py"),
    "torchao": ("runtime/quantize.py",),
    "onnxruntime": ("policy/student.py",),
    "grpc": ("serve/",),
    "gymnasium": ("env.py",),
    "ray": ("evaluate/suite_pool.py",),
    "av": ("data/video.py",),
    "transformers": (),
    "matplotlib": (),
}
TRUTH_READERS = re.compile(r"policy/rule\w*\.py|reasoning/label\.py")


def where(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every imported module name with its line, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield (f"{node.module}.{alias.name}" if node.module == "cordillera" else node.module or "", node.lineno)


def layer_faults(source: str, place: str) -> list[str]:
    """What a module at `place` imports against the order of the layers."""
    own = place.split("/")[0].removesuffix(".py")
    faults = []
    for name, line in imports(ast.parse(source)):
        parts = name.split(".")
        if parts[0] != "cordillera" or len(parts) < 2 or parts[1] == own or parts[1].startswith("__"):
            continue
        if own not in RANK or parts[1] not in RANK:
            faults.append(f"{place}:{line}: {own} or {parts[1]} has no layer")
        elif RANK[parts[1]] <= RANK[own]:
            faults.append(f"{place}:{line}: {own} imports {parts[1]}, which is not below it")
    return faults


def address_faults(source: str, place: str) -> list[str]:
    """What a module at `place` imports of the libraries that have an address."""
    return [
        f"{place}:{line}: {name} may be imported only in {ADDRESSES[root] or 'no module'}"
        for name, line in imports(ast.parse(source))
        if (root := name.split(".")[0]) in ADDRESSES and not place.startswith(ADDRESSES[root] or ("\0",))
    ]


def truth_faults(source: str, place: str) -> list[str]:
    """Where a module at `place` reads `.truth` without leave."""
    if TRUTH_READERS.fullmatch(place):
        return []
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr == "truth")
    return [f"{place}:{node.lineno}: reads .truth" for node in nodes]


@pytest.mark.parametrize("check", [layer_faults, address_faults, truth_faults])
def test_imports_and_truth_follow_the_rules(check):
    entry = {"__init__.py", "__main__.py"}
    faults = [
        fault for p in MODULES if where(p) not in entry for fault in check(p.read_text(encoding="utf-8"), where(p))
    ]
    assert not faults, "\n".join(faults)


def test_the_rules_catch_what_they_forbid():
    assert layer_faults("from cordillera.world import roads", "sensors/scene.py")
    assert layer_faults("def f():\n    import cordillera.policy.rule", "reasoning/label.py")
    assert layer_faults("from cordillera import loop", "policy/rule.py")
    assert not layer_faults("from cordillera.world import roads", "policy/rule.py")
    assert address_faults("import torch.nn", "policy/student.py")
    assert not address_faults("import torch.nn", "policy/vla/model.py")
    assert truth_faults("x = observation.truth.state", "policy/vla/policy.py")
    assert not truth_faults("x = observation.truth.state", "policy/rule_lead.py")


def test_modules_and_functions_stay_small():
    faults = []
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        if (count := source.count("\n")) > 400:
            faults.append(f"{where(path)}: {count} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 60:
                    faults.append(f"{where(path)}:{node.lineno}: {node.name} has {length} lines")
    assert not faults, "\n".join(faults)


def test_every_module_says_what_it_is_and_has_an_honest_name():
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{where(path)} has no docstring"
        assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}, where(path)


def test_readme_lists_every_module_with_one_line():
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## File map")[1].split("\n## ")[0]
    listed = re.findall(r"^\s*([\w/]+\.py) {2,}\S.*$", section, flags=re.MULTILINE)
    present = [where(p) for p in MODULES if p.name != "__init__.py"]
    assert len(listed) == len(set(listed))
    assert sorted(listed) == sorted(present)
