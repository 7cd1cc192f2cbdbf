"""Results of cases in, estimates with intervals out: pass rates, means of metrics, whether one policy beats another.

**What is estimated.** The mean over strata, which are the situations' (family, region): each weighs the same, however
many seeds it has. **How sure it is.** Seeds are what is random. Each of `RESAMPLES` resamples draws, in every stratum
apart, n - 1 of its n seeds with replacement; the interval holds the middle 95 % of the resampled means. Drawing n - 1
instead of n makes the variance of the mean unbiased for few seeds (McCarthy and Snowden, 1985), where the plain
bootstrap is too narrow by the factor n / (n - 1). Strata of one seed have no spread of their own and are resampled as
one stratum. A pass rate within one stratum has Wilson's interval (1927), and so has one whose results are all equal,
where a bootstrap has no spread; means of other values have no interval then. The random numbers depend on nothing but
the shape of the data.

**Comparison.** Two policies drove the same situations, so it is their differences that are resampled, pair by pair.
A beats B where the interval of the mean difference lies above zero and the exact sign test on the pairs in which just
one of them passed (McNemar) gives p < 0.05; the test guards against few pairs, for which bootstraps are too sure.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from cordillera.evaluate.suite import CaseResult
from cordillera.types import Float

RESAMPLES = 10_000
LEVEL = 0.95
Z = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; NaN where nothing could be measured, or no spread is known."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Comparison:
    """Policy `a` against policy `b` on the situations that both drove; `difference` is of their pass rates."""

    a: str
    b: str
    difference: Estimate
    only_a: int  # situations that only `a` passed
    only_b: int
    p_value: float  # of the sign test, two-sided
    verdict: str  # "a", "b" or "" for no proof either way


def pass_rate(results: Sequence[CaseResult]) -> Estimate:
    """Results of one policy -> its pass rate."""
    values, strata = np.array([float(result.success) for result in results]), [_stratum(result) for result in results]
    found = mean(values, strata)
    if len(values) and (values.min() == values.max() or len(set(strata)) == 1):
        low, high = wilson(int(values.sum()), len(values))
        return Estimate(found.value, low, high, len(values))
    return found


def metric_mean(results: Sequence[CaseResult], name: str) -> Estimate:
    """Results of one policy and a metric's name -> its mean over the drives for which it is valid."""
    rows = [(r, m.value) for r in results for m in r.metrics if m.name == name and m.valid]
    return mean(np.array([value for _, value in rows]), [_stratum(result) for result, _ in rows])


def compare(a: Sequence[CaseResult], b: Sequence[CaseResult]) -> Comparison:
    """Results of two policies -> which is better, if that can be said. ValueError without a common situation."""
    of_b = {result.case.situation: result for result in b}
    pairs = [(result, of_b[result.case.situation]) for result in a if result.case.situation in of_b]
    if not pairs:
        raise ValueError("two policies without a common situation cannot be compared: drive both over the same seeds")
    values = np.array([float(x.success) - float(y.success) for x, y in pairs])
    difference = mean(values, [_stratum(x) for x, _ in pairs])
    only_a, only_b = int((values > 0).sum()), int((values < 0).sum())
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    low, high = (difference.value,) * 2 if math.isnan(difference.low) else (difference.low, difference.high)
    verdict = "" if p >= 1.0 - LEVEL else "a" if low > 0.0 else "b" if high < 0.0 else ""
    return Comparison(a[0].case.policy, b[0].case.policy, difference, only_a, only_b, p, verdict)


def mean(values: Float, strata: Sequence[Hashable]) -> Estimate:
    """Values (N,) and the stratum of each -> the mean over strata of their means, with its interval."""
    if len(values) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    groups: dict[Hashable, list[float]] = {}
    for value, stratum in zip(values, strata, strict=True):
        groups.setdefault(stratum, []).append(float(value))
    middle = float(np.mean([np.mean(group) for group in groups.values()]))
    if values.min() == values.max():
        return Estimate(middle, math.nan, math.nan, len(values))
    total = np.zeros(RESAMPLES)
    random = np.random.default_rng(len(values))
    singles = [group[0] for group in groups.values() if len(group) == 1]
    pools = [group for group in groups.values() if len(group) > 1]
    for pool, weight in [*((pool, 1) for pool in pools), *([(singles, len(singles))] if singles else [])]:
        array, draws = np.array(pool), max(len(pool) - 1, 1)
        picked = random.integers(0, len(array), (RESAMPLES, draws))
        total += weight * array[picked].mean(axis=1)
    low, high = np.quantile(total / len(groups), [0.5 - 0.5 * LEVEL, 0.5 + 0.5 * LEVEL])
    return Estimate(middle, float(low), float(high), len(values))


def wilson(passed: int, count: int) -> tuple[float, float]:
    """So many of so many -> the 95 % score interval of the rate (Wilson, 1927)."""
    rate, z2 = passed / count, Z * Z
    centre = (rate + z2 / (2 * count)) / (1 + z2 / count)
    half = Z / (1 + z2 / count) * math.sqrt(rate * (1 - rate) / count + z2 / (4 * count * count))
    return (0.0 if passed == 0 else centre - half), (1.0 if passed == count else centre + half)


def _stratum(result: CaseResult) -> tuple[str, str]:
    return result.case.family, result.case.region
