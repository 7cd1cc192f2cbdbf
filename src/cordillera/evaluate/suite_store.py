"""Results of cases <-> files of a folder, one each, so that a killed run loses at most what was being driven.

    OUTPUT/cases/POLICY/FAMILY/REGION-SPLIT-SEED.json   the result
    OUTPUT/cases/POLICY/FAMILY/REGION-SPLIT-SEED.npz    the rollout, where it is kept

Files are written under a temporary name and renamed; the result comes last, so the rollout of a result is there.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cordillera.data.rollouts import read_rollout, write_rollout
from cordillera.evaluate.suite import Case, CaseResult, Outcome, Task
from cordillera.evaluate.suite_pool import Executor
from cordillera.types import MetricResult, Rollout


@dataclass(frozen=True)
class Store:
    """The folder of one suite. `stamps` names, by policy, all but the case that makes a result: code and settings."""

    folder: Path
    stamps: Mapping[str, str]

    def path(self, case: Case) -> Path:
        """A case -> where its result stands."""
        name = f"{plain(case.region or 'any')}-{plain(case.split)}-{case.seed}.json"
        return self.folder / "cases" / plain(case.policy) / plain(case.family) / name

    def put(self, outcome: Outcome) -> None:
        """Write an outcome."""
        path = self.path(outcome.result.case)
        path.parent.mkdir(parents=True, exist_ok=True)
        if outcome.rollout is not None:
            write_rollout(outcome.rollout, path.with_suffix(".npz"))
        else:
            path.with_suffix(".npz").unlink(missing_ok=True)
        write_json({"stamp": self.stamps[outcome.result.case.policy], **to_json(outcome.result)}, path)

    def get(self, case: Case) -> CaseResult | None:
        """The result of a case, None where there is none by this code and these settings; ValueError if damaged."""
        path = self.path(case)
        if not path.is_file():
            return None
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            return from_json(tree) if tree["stamp"] == self.stamps[case.policy] else None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: no result of this program ({error!r}); delete it and run again") from error

    def rollout(self, case: Case) -> Rollout | None:
        """The rollout of a case, None where it was not kept."""
        path = self.path(case).with_suffix(".npz")
        return read_rollout(path) if path.is_file() else None


def run_suite(
    tasks: Sequence[Task], store: Store, executor: Executor, tell: Callable[[CaseResult, bool], None]
) -> dict[Case, CaseResult]:
    """Tasks -> the result of each, in their order; those whose result is in the store already are not driven again.

    `tell` hears of every result, and whether it is new. Each is in the store before it is told of.
    """
    results = {task.case: found for task in tasks if (found := store.get(task.case)) is not None}
    for result in results.values():
        tell(result, False)
    for outcome in executor([task for task in tasks if task.case not in results]):
        store.put(outcome)
        results[outcome.result.case] = outcome.result
        tell(outcome.result, True)
    return {task.case: results[task.case] for task in tasks}


def stamp_of(settings: Sequence[str], folders: Sequence[Path]) -> str:
    """Settings, and folders or files of code -> a short hash that changes with any of them."""
    sha = hashlib.sha256("\n".join(settings).encode())
    for folder in folders:
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
            sha.update(path.read_bytes())
    return sha.hexdigest()[:16]


def plain(name: str) -> str:
    """A name -> one that any file system takes; where signs were replaced, a short hash keeps names apart."""
    text = re.sub(r"[^A-Za-z0-9_.+-]+", "_", name).strip(".")[-60:]
    return text if text and text == name else f"{text}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def write_json(value: object, path: Path) -> None:
    """Write JSON under a temporary name, then rename it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False), encoding="utf-8")
    part.replace(path)


def to_json(result: CaseResult) -> dict[str, object]:
    """A result -> a tree of JSON; values that are not finite become null."""
    tree = asdict(result)
    for metric in tree["metrics"]:
        metric["value"] = metric["value"] if math.isfinite(metric["value"]) else None
    return tree


def from_json(tree: dict) -> CaseResult:
    """What `to_json` gave -> the result."""
    metrics = tuple(
        MetricResult(m["name"], math.nan if m["value"] is None else m["value"], m["valid"], m["unit"], m["better"])
        for m in tree["metrics"]
    )
    names = [name for name in CaseResult.__dataclass_fields__ if name not in ("case", "metrics", "tags")]
    rest = {name: tree[name] for name in names}
    return CaseResult(case=Case(**tree["case"]), metrics=metrics, tags=tuple(tree["tags"]), **rest)
