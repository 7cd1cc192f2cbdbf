"""Edits of words, the meaning of sentences in the world, and figures with their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from test_reasoning_label import straight

from cordillera.evaluate.faithful_doses import Dose
from cordillera.evaluate.faithful_heard import hear
from cordillera.evaluate.faithful_known import moved_aside
from cordillera.evaluate.faithful_scene import moved_m, sideways_m
from cordillera.evaluate.faithful_stats import bootstrap
from cordillera.evaluate.faithful_words import (
    DONOR,
    EMPTY,
    EVIDENCE,
    FILLER,
    FLIP,
    OWN,
    SHUFFLED,
    donor_of,
    edits,
    understood,
)
from cordillera.reasoning.match import does_longitudinal
from cordillera.types import Longitudinal, ReasoningTrace

YIELD = "Yield because the pedestrian is crossing ahead, and keep the lane."
STOP = "Stop since the traffic light is red, and keep the lane."


def test_edits_change_what_they_say_and_nothing_else():
    found = {e.arm: e for e in edits(YIELD, YIELD, (STOP,), straight(8.0), None, seed=1)}
    assert found[OWN].words == YIELD and found[DONOR].words == STOP and found[EMPTY].words == ""
    assert sorted(found[SHUFFLED].words.split()) == sorted(YIELD.split()) and found[SHUFFLED].words != YIELD
    assert len(found[FILLER].words.split()) == len(YIELD.split()) and understood(found[FILLER].words) is None
    own, other, flip = (understood(found[arm].words) for arm in (OWN, EVIDENCE, FLIP))
    assert own and other and flip
    assert other.longitudinal is own.longitudinal and {c.kind for c in other.causes} != {"pedestrian"}
    assert flip.longitudinal is not own.longitudinal and [c.kind for c in flip.causes] == ["pedestrian"]


def test_a_flip_asks_for_what_the_plan_does_not_do():
    for speed in (0.0, 8.0):
        flip = next(e for e in edits(STOP, STOP, (), straight(speed), None, 0) if e.arm == FLIP)
        assert not does_longitudinal(flip.longitudinal, straight(speed))


def test_donors_decide_otherwise_and_are_as_long():
    same = "Yield because the cyclist is crossing ahead, and keep the lane."
    assert donor_of(YIELD, (same, STOP, STOP + " " * 40)) == STOP
    assert donor_of(YIELD, (same,)) == ""


def test_words_count_and_fields_that_disagree_do_not():
    trace = ReasoningTrace(Longitudinal.STOP, None, (), YIELD, "liar")
    heard = hear(trace)
    assert heard.trace is not None and heard.trace.longitudinal is Longitudinal.YIELD
    assert hear(ReasoningTrace(Longitudinal.STOP, None, (), "no such sentence", "x")).trace is None
    assert hear(None).text == ""


def test_distances_between_plans_by_hand():
    assert moved_m(straight(10.0), straight(8.0)) == pytest.approx(2.0 * 0.1 * np.arange(1, 65).mean())
    assert sideways_m(straight(10.0), straight(8.0)) == pytest.approx(0.0, abs=1e-9)
    assert sideways_m(straight(10.0), moved_aside(straight(10.0), 0.5)) == pytest.approx(0.5, abs=0.01)


def test_a_dose_is_monotone_if_less_never_does_more():
    def dose(*effects: float) -> Dose:
        return Dose("distance", "car", tuple("abcd"), (1.0, 2.0, 3.0, 4.0), effects)

    assert dose(3.0, 2.0, 1.0, 0.0).monotone and dose(3.0, 3.1, 1.0, 0.0).monotone
    assert not dose(3.0, 1.0, 2.0, 0.0).monotone
    assert not dose(0.0, 0.0, 0.0, 0.0).responds and not dose(0.0, 0.0, 0.0, 0.0).monotone


def test_the_bootstrap_has_the_width_that_theory_gives():
    yes = (np.arange(400) % 4 == 0).astype(float)
    estimate = bootstrap({"yes": yes, "all": np.ones(400)}, lambda s: s["yes"] / s["all"])
    half = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert estimate.value == 0.25
    assert estimate.low == pytest.approx(0.25 - half, abs=0.006) and estimate.high == pytest.approx(
        0.25 + half, abs=0.006
    )
    nothing = bootstrap({"n": np.zeros(5)}, lambda s: s["n"] / np.where(s["n"] > 0, s["n"], np.nan))
    assert np.isnan(nothing.value)
