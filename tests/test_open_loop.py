"""Open-loop figures: errors of plans, F1 of decisions, causes by kind, agreement of words and plan, and the verb."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_driver import observe

from cordillera.cli import main
from cordillera.evaluate.open_loop import SPOKEN, Answer, answer_of, open_loop
from cordillera.kinematics import roll_plan
from cordillera.types import Cause, Decision, Lateral, Longitudinal, ReasoningTrace, Sample

SPEED = 10.0
LIGHT = Cause("traffic light", "signal:1", "red at the stop line ahead", 0, 20.0, "longitudinal")
LEAD = Cause("lead vehicle", "agent:1", "a car ahead", 0, 20.0, "longitudinal")


def trace(longitudinal=Longitudinal.SET_SPEED, causes=(), lateral=Lateral.LANE_KEEPING):
    return ReasoningTrace(longitudinal, lateral, tuple(causes), "as the test says", "test")


def plan(accel=0.0, t_us=5_000_000):
    return roll_plan(np.tile((accel, 0.0), (64, 1)), SPEED, t_us)


def sample(said=None, accel=0.0, clip="a"):
    seen = observe(SPEED)
    return Sample(seen, plan(accel, seen.t_us), said or trace(), clip)


def decision(said=None, accel=0.0, aside=()):
    driven = plan(accel)
    offsets = [np.array([0.0, y, 0.0]) for y in aside]
    samples = tuple(replace(driven, xyz=driven.xyz + offset) for offset in offsets)
    return Decision(driven, samples or (driven,), said, "test", 0.0)


def test_errors_are_those_of_the_sample_that_is_best_over_the_whole():
    found = answer_of(sample(), decision(aside=(-3.0, 0.5, 2.0)))
    assert found.min_ade_m == pytest.approx(0.5)
    assert found.min_ade_3s_m == pytest.approx(0.5)
    assert found.ade_m == pytest.approx(0.0, abs=1e-9)
    assert found.steady_ade_m == pytest.approx(0.0, abs=1e-9)


def test_going_on_as_now_misses_who_brakes():
    t = 0.1 * np.arange(1, 65)
    found = answer_of(sample(accel=-1.0), decision())
    assert found.steady_ade_m == pytest.approx(float(np.mean(0.5 * t**2)), rel=0.02)
    assert found.min_ade_3s_m < found.min_ade_m


@pytest.mark.parametrize(
    ("said", "accel", "agrees", "stop", "went_on"),
    [
        (trace(Longitudinal.STOP), -2.0, True, True, False),
        (trace(Longitudinal.STOP), 0.0, False, True, True),
        (trace(Longitudinal.SET_SPEED), 0.0, True, False, False),
        (trace(None, (), None), 0.0, False, False, False),  # words that say nothing
        (None, 0.0, False, False, False),
    ],
)
def test_words_and_plan_agree_or_not(said, accel, agrees, stop, went_on):
    found = answer_of(sample(), decision(said, accel))
    assert (found.spoke, found.agrees, found.said_stop, found.went_on) == (said is not None, agrees, stop, went_on)


def test_windows_without_a_reason_and_short_plans_are_refused():
    with pytest.raises(ValueError, match="no reason"):
        answer_of(replace(sample(), reasoning=None), decision())
    short = replace(plan(), xyz=plan().xyz[:30], t_us=plan().t_us[:30], quat_xyzw=plan().quat_xyzw[:30])
    with pytest.raises(ValueError, match="shorter"):
        answer_of(sample(), Decision(short, (), None, "test", 0.0))
    with pytest.raises(ValueError, match="no window"):
        open_loop([])


def answered(true, said, clip="a"):
    """An answer of which only decisions and causes matter; each is ((speed, side), kinds)."""
    return Answer(clip, 1.0, 1.0, 1.0, 2.0, (true[0], said[0]), (true[1], said[1]), True, True, False, False)


def test_figures_by_hand():
    go, stop, turn = ("go", "keep"), ("stop", "keep"), ("go", "turn left")
    rows = [
        answered((go, ()), (go, ())), answered((stop, ("light",)), (stop, ("light", "light"))),
        answered((stop, ("light", "lead")), (go, ("lead",)), "b"),
        answered((turn, ()), (("other", "keep"), ("lead",)), "b"),
    ]  # fmt: skip
    found = open_loop(rows)
    # speed: go has 2 recorded, 2 said, 1 hit: F1 0.5; stop has 2, 1, 1: 2/3; "other" was never recorded
    assert found[SPOKEN[0]].value == pytest.approx((0.5 + 2.0 / 3.0) / 2.0)
    # side: keep has 3 recorded, 4 said, 3 hits: 6/7; turn left has 1 recorded, none said: 0
    assert found[SPOKEN[1]].value == pytest.approx((6.0 / 7.0) / 2.0)
    assert found[SPOKEN[2]].value == pytest.approx(2.0 / 4.0)
    assert found[SPOKEN[3]].value == pytest.approx(2.0 / 3.0)
    assert found["minADE 6.4 s"].value == 1.0
    assert found["ADE 6.4 s of going on as now"].value == 2.0
    assert not np.isfinite(found[SPOKEN[5]].value)  # nobody said stop


names = st.sampled_from(("go", "stop", "yield"))


@given(st.lists(st.tuples(names, names, st.sampled_from("abc")), min_size=1, max_size=25))
def test_f1_stays_in_its_interval_and_the_perfect_have_one(rows):
    answers = [answered(((a, "keep"), ()), ((b, "keep"), ()), clip) for a, b, clip in rows]
    found = open_loop(answers)[SPOKEN[0]]
    assert 0.0 <= found.low <= found.high <= 1.0
    assert 0.0 <= found.value <= 1.0
    perfect = [answered(((a, "keep"), ()), ((a, "keep"), ()), clip) for a, _, clip in rows]
    assert open_loop(perfect)[SPOKEN[0]].value == 1.0


def test_intervals_are_over_clips():
    """Windows of one clip are alike: ten times the windows make nothing surer, ten times the clips do."""

    def rows(clips, each):
        chance = np.random.default_rng(0)
        return [
            replace(answered((("go", "keep"), ()), (("go", "keep"), ()), str(c)), ade_m=value)
            for c, value in enumerate(chance.uniform(0.0, 2.0, clips)) for _ in range(each)
        ]  # fmt: skip

    few, repeated, many = (open_loop(rows(*n))["ADE 6.4 s of the plan"] for n in ((8, 1), (8, 10), (80, 1)))
    assert repeated.high - repeated.low == pytest.approx(few.high - few.low)
    assert many.high - many.low < 0.6 * (few.high - few.low)


def test_the_verb_scores_a_set(tmp_path, capsys):
    folder, result = tmp_path / "set", tmp_path / "out" / "score.json"
    arguments = ["--clips", "1", "--families", "maps:town01", "--cameras", "none", "--output", str(folder)]
    assert main(["data", "generate", *arguments]) == 0
    assert main(["data", "score", str(folder), "--policy", "constant-velocity", "--output", str(result)]) == 0
    facts = json.loads(result.read_text())
    figures = facts["figures"]
    assert facts["windows"] > 5
    assert figures["ADE 6.4 s of the plan"]["value"] == pytest.approx(figures["minADE 6.4 s"]["value"])
    assert SPOKEN[0] not in figures  # it has no words
    assert "constant-velocity" in capsys.readouterr().out
    assert main(["data", "score", str(folder), "--policy", "expert"]) == 2
    assert "truth" in capsys.readouterr().err
