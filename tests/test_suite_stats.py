"""Intervals and comparisons on data whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordillera.evaluate.suite import Case, CaseResult
from cordillera.evaluate.suite_stats import compare, mean, metric_mean, pass_rate, wilson
from cordillera.types import MetricResult


def result(policy, family, seed, success, value=math.nan):
    metric = MetricResult("progress", value, not math.isnan(value), "m", "higher")
    return CaseResult(
        Case(policy, family, "", "val", seed), bool(success), "" if success else "collision", "duration", "DE",
        "town01", (), 10.0, (metric,), 0, "", "", 1.0, 1.0,
    )  # fmt: skip


def drives(policy, table):
    """{family: [successes]} -> results."""
    return [result(policy, family, seed, s) for family, row in table.items() for seed, s in enumerate(row)]


def test_families_weigh_the_same_whatever_their_seeds():
    estimate = pass_rate(drives("a", {"f": [1, 1, 1, 1, 1, 1], "g": [0, 1]}))
    assert estimate.value == pytest.approx(0.75) and estimate.count == 8
    assert estimate.low <= 0.75 <= estimate.high


def test_results_that_are_all_equal_get_the_score_interval():
    estimate = pass_rate(drives("a", {"f": [1] * 5, "g": [1] * 5}))
    assert (estimate.low, estimate.high) == (pytest.approx(0.7224672, abs=1e-6), 1.0)  # 1 / (1 + 1.96^2 / 10)
    assert wilson(0, 10) == (0.0, pytest.approx(0.2775328, abs=1e-6))
    low, high = wilson(5, 10)  # worked out by hand: centre 0.5, half 0.5 * 1.96 / sqrt(10 + 1.96^2)
    assert (low, high) == (pytest.approx(0.2365931, abs=1e-6), pytest.approx(0.7634069, abs=1e-6))


def test_a_rate_within_one_family_has_the_score_interval():
    estimate = pass_rate(drives("a", {"f": [1] * 5 + [0] * 5}))
    assert (estimate.value, estimate.low, estimate.high) == (0.5, *wilson(5, 10))


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error():
    values = np.random.default_rng(3).normal(10.0, 2.0, 400)
    estimate = mean(values, ["one"] * 400)
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.low, estimate.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_what_differs_between_families_is_not_uncertainty():
    values = np.repeat([0.0, 100.0], 50) + np.tile([0.0, 1.0], 50)
    apart, mixed = mean(values, np.repeat(["f", "g"], 50).tolist()), mean(values, ["one"] * 100)
    assert apart.high - apart.low < 0.3 < 15.0 < mixed.high - mixed.low


def test_few_seeds_do_not_make_the_interval_too_narrow():
    """Over many suites of 5 seeds in 20 families, 95 % of the intervals hold the truth; plain ones miss more."""
    random, strata = np.random.default_rng(7), [k // 5 for k in range(100)]
    held = []
    for _ in range(150):
        estimate = mean(random.normal(0.0, 1.0, 100), strata)
        held.append(estimate.low <= 0.0 <= estimate.high)
    assert 0.90 <= np.mean(held) <= 0.99


def test_families_of_one_seed_are_taken_together():
    values = np.array([1.0, 3.0] * 50)
    estimate = mean(values, list(range(100)))
    together = mean(values, ["one"] * 100)
    assert estimate.value == together.value
    assert estimate.high - estimate.low == pytest.approx(together.high - together.low, rel=0.05)


def test_a_metric_that_is_not_valid_does_not_count():
    rows = [result("a", "f", k, True, value) for k, value in enumerate([2.0, 4.0, math.nan])]
    estimate = metric_mean(rows, "progress")
    assert estimate.value == 3.0 and estimate.count == 2
    none = metric_mean(rows, "unheard of")
    assert math.isnan(none.value) and none.count == 0


def test_who_wins_is_said_only_when_proved():
    good = drives("a", {"f": [1] * 10, "g": [1] * 10})
    bad = drives("b", {"f": [0] * 10, "g": [0] * 5 + [1] * 5})
    won = compare(good, bad)
    assert won.verdict == "a" and (won.only_a, won.only_b) == (15, 0)
    assert won.difference.value == pytest.approx(0.75) and won.p_value == pytest.approx(2 * 0.5**15)
    assert compare(bad, good).verdict == "b"
    assert compare(good, drives("c", {"f": [1] * 10, "g": [1] * 10})).verdict == ""
    few = compare(drives("a", {"f": [1, 1, 1]}), drives("b", {"f": [0, 0, 0]}))
    assert few.verdict == "" and few.p_value == pytest.approx(0.25), "three pairs prove nothing"


def test_pairs_are_matched_by_situation_not_by_place():
    a = drives("a", {"f": [1, 0, 1, 0], "g": [1, 1]})
    b = list(reversed(drives("b", {"g": [1, 1], "f": [1, 0, 1, 0]})))
    same = compare(a, b)
    assert (same.only_a, same.only_b, same.difference.value) == (0, 0, 0.0)
    with pytest.raises(ValueError, match="common situation"):
        compare(a, drives("b", {"h": [1]}))


def test_equal_policies_are_rarely_told_apart():
    random, wrong = np.random.default_rng(11), 0
    for _ in range(60):
        a, b = random.random((2, 8, 5)) < 0.5
        tables = [{str(k): row for k, row in enumerate(rows)} for rows in (a, b)]
        wrong += compare(drives("a", tables[0]), drives("b", tables[1])).verdict != ""
    assert wrong <= 6


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("fgh"), st.floats(-100.0, 100.0)), min_size=1, max_size=30))
def test_an_estimate_lies_in_its_interval_and_is_the_same_again(rows):
    values, strata = np.array([v for _, v in rows]), [s for s, _ in rows]
    one, again = mean(values, strata), mean(values, strata)
    assert str(one) == str(again)
    assert values.min() - 1e-9 <= one.value <= values.max() + 1e-9
    if not math.isnan(one.low):
        assert values.min() - 1e-9 <= one.low <= one.high <= values.max() + 1e-9
