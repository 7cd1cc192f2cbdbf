"""Results of a suite in, its tables out: headline, families, regions, reasons, metrics, comparisons, worst drives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from itertools import combinations
from typing import Any

import numpy as np

from cordillera.evaluate.suite import CaseResult
from cordillera.evaluate.suite_stats import Comparison, Estimate, compare, metric_mean, pass_rate

# The gravest first, as in `metrics.failure`.
GRAVITY = (
    "error", "collision", "off-road", "red light", "wrong way", "stop sign", "gesture ignored", "struck",
    "siren held up", "not arrived", "no progress",
)  # fmt: skip


@dataclass(frozen=True)
class PolicyRow:
    """One policy over all its drives."""

    policy: str
    rate: Estimate
    long_tail: Estimate
    everyday: Estimate
    passed: int
    crashes: int  # drives whose program crashed; they count as failures
    fallback_share: float  # of all steps: where the driver had to stop the car for want of a plan
    latency_ms: float  # median of the drives' medians


@dataclass(frozen=True)
class GroupRow:
    """One family, region or metric: an estimate for each policy, in the order of `SuiteReport.policies`."""

    name: str
    note: str  # a region's or a family's kind; a metric's unit
    better: str  # for metrics: "higher", "lower" or ""
    estimates: tuple[Estimate, ...]
    passed: tuple[int, ...]


@dataclass(frozen=True)
class SuiteReport:
    """All that is said about a suite."""

    policies: tuple[PolicyRow, ...]  # the best first
    comparisons: tuple[Comparison, ...]
    families: tuple[GroupRow, ...]
    regions: tuple[GroupRow, ...]
    reasons: tuple[tuple[str, tuple[int, ...]], ...]  # how often each policy failed for it, the most frequent first
    metrics: tuple[GroupRow, ...]
    provenance: tuple[tuple[str, str], ...]
    results: tuple[CaseResult, ...]


def make_report(
    results: Sequence[CaseResult], everyday: Collection[str], provenance: Sequence[tuple[str, str]]
) -> SuiteReport:
    """Results, the families that are everyday driving, and where it all comes from -> the report.

    Raises ValueError without results.
    """
    if not results:
        raise ValueError("a report needs at least one result")
    names = dict.fromkeys(result.case.policy for result in results)
    of = {name: [result for result in results if result.case.policy == name] for name in names}
    rows = sorted((_policy(name, of[name], everyday) for name in of), key=lambda row: -row.rate.value)
    order = [row.policy for row in rows]
    families = dict.fromkeys(result.case.family for result in results)
    regions = sorted({result.region for result in results})
    metrics = {m.name: m for result in results for m in result.metrics}
    reasons = Counter(result.reason for result in results if not result.success)
    return SuiteReport(
        policies=tuple(rows),
        comparisons=tuple(compare(of[a], of[b]) for a, b in combinations(order, 2)),
        families=tuple(
            _group(name, "everyday" if name in everyday else "long-tail", _where(of, order, family=name))
            for name in families
        ),
        regions=tuple(_group(name or "unknown", "", _where(of, order, region=name)) for name in regions),
        reasons=tuple(
            (reason, tuple(sum(r.reason == reason for r in of[name]) for name in order))
            for reason, _ in reasons.most_common()
        ),
        metrics=tuple(
            GroupRow(m.name, m.unit, m.better, tuple(metric_mean(of[name], m.name) for name in order), ())
            for m in metrics.values()
        ),
        provenance=tuple(provenance),
        results=tuple(results),
    )


def _policy(name: str, results: Sequence[CaseResult], everyday: Collection[str]) -> PolicyRow:
    steps = sum(result.driven_s for result in results) / 0.1
    return PolicyRow(
        policy=name,
        rate=pass_rate(results),
        long_tail=pass_rate([r for r in results if r.case.family not in everyday]),
        everyday=pass_rate([r for r in results if r.case.family in everyday]),
        passed=sum(result.success for result in results),
        crashes=sum(result.ended == "crashed" for result in results),
        fallback_share=sum(result.fallbacks for result in results) / max(steps, 1.0),
        latency_ms=float(np.median([result.latency_ms for result in results])),
    )


def _where(
    of: dict[str, list[CaseResult]], order: Sequence[str], family: str | None = None, region: str | None = None
) -> list[list[CaseResult]]:
    """The results of each policy in one family or one region."""
    return [
        [r for r in of[name] if (family is None or r.case.family == family) and (region is None or r.region == region)]
        for name in order
    ]


def _group(name: str, note: str, rows: list[list[CaseResult]]) -> GroupRow:
    return GroupRow(
        name, note, "higher", tuple(map(pass_rate, rows)), tuple(sum(r.success for r in row) for row in rows)
    )


def worst_first(results: Sequence[CaseResult]) -> list[CaseResult]:
    """Results of one policy -> those with a drive to look at, the worst first, one of each family before any second.

    Failures come before successes, grave reasons before others; successes go by their shortest time to collision.
    """
    seen: Counter[str] = Counter()
    rows = []
    for result in sorted((r for r in results if r.ended != "crashed"), key=_badness):
        rows.append((result.success, seen[result.case.family], len(rows), result))
        seen[result.case.family] += 1
    return [row[-1] for row in sorted(rows, key=lambda row: row[:-1])]


def _badness(result: CaseResult) -> tuple[bool, int, float, int]:
    gravity = GRAVITY.index(result.reason) if result.reason in GRAVITY else len(GRAVITY)
    soonest = [m.value for m in result.metrics if m.name == "time to collision" and m.valid]
    return result.success, gravity, min(soonest, default=math.inf), result.case.seed


def to_tree(value: Any) -> Any:
    """A report -> a tree of JSON: dataclasses as objects, numbers that are not finite as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_tree(asdict(value))
    if isinstance(value, dict):
        return {key: to_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_tree(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
