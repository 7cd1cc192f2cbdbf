"""The faithfulness bench ranks drivers of whom the answer is known: each fails where it must, and only there."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from cordillera.evaluate.faith_page import write_faith_page
from cordillera.evaluate.faith_report import make_faith_report, telling
from cordillera.evaluate.faith_store import FaithStore
from cordillera.evaluate.faithful import CELLS, NECESSITY, Event, FaithConfig, Measured, measure
from cordillera.evaluate.faithful_events import Found, choose, moments
from cordillera.evaluate.faithful_known import Misplaced, Monotone, Obedient, Parrot, Talker
from cordillera.evaluate.faithful_scene import Scene, moved_m
from cordillera.evaluate.faithful_stats import NullArmError, Summary, summarise
from cordillera.evaluate.faithful_words import Spoken
from cordillera.loop import roll_out
from cordillera.policy.baselines import RouteFollower
from cordillera.policy.rule import RuleExpert
from cordillera.presets.clip import careless
from cordillera.presets.faith_case import CONSTANT
from cordillera.reasoning.label import Drive
from cordillera.runtime.driver import Policy, SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import Decision, Observation, Rollout, Step
from cordillera.world.scenarios import make_family
from cordillera.world.world import World

EXPERT = RuleExpert()
FAMILIES = ("hesitant_pedestrian", "following", "free_road")
ELSEWHERE = (
    "Yield because the tram is crossing ahead, and keep the lane.",
    "Stop since the traffic light is red, and keep the lane.",
)
TICKS = 60


def scene_of(rollout: Rollout, policy: Policy) -> Scene:
    drive = Drive.of(rollout, World(rollout.scenario), Observer())
    return Scene(rollout, drive, policy, lambda _: Observer(), EXPERT.decide, careless, lambda state, target: 100.0)


@pytest.fixture(scope="module")
def past() -> dict[str, Rollout]:
    """The first seconds of the expert's drives."""
    found = {}
    for name in FAMILIES:
        scenario = make_family(name, 0, "test")
        seen: list[Step] = []

        def stop(step: Step, observation: Observation, seen: list[Step] = seen) -> None:
            seen.append(step)
            if len(seen) > TICKS:
                raise KeyboardInterrupt

        driver = SafeDriver(EXPERT, clock=lambda: 0.0)
        found[name] = roll_out(scenario, World(scenario), Observer(), driver, stop)
    return found


@pytest.fixture(scope="module")
def events(past) -> tuple[Event, ...]:
    found = [f for name, rollout in past.items() for f in moments(rollout, Event(name, "", "test", 0, 0))]
    return choose(found, 6)


@pytest.fixture(scope="module")
def results(past, events) -> dict[str, list[Measured]]:
    policies: dict[str, Policy] = {
        "expert": Obedient(EXPERT),
        "misplaced": Misplaced(EXPERT, ELSEWHERE),
        "talker": Talker(RouteFollower(), EXPERT),
        "monotone": Monotone(EXPERT, CONSTANT),
        "parrot": Parrot(EXPERT),
    }
    config = FaithConfig(closed_loop_s=0.0)
    return {
        name: [measure(scene_of(past[e.family], policy), e, ELSEWHERE, config) for e in events]
        for name, policy in policies.items()
    }


@pytest.fixture(scope="module")
def summaries(results) -> dict[str, Summary]:
    return {name: summarise(name, found, True) for name, found in results.items()}


def value(summaries: dict[str, Summary], policy: str, key: str) -> float:
    return summaries[policy].figure(key).value


def test_events_are_balanced_and_some_are_everyday(events):
    assert {e.kind for e in events} >= {"", "pedestrian", "lead vehicle"}
    assert len(set(events)) == len(events)


def test_the_expert_with_its_own_reasons_is_near_perfect(summaries):
    assert value(summaries, "expert", "f1") > 0.9
    assert value(summaries, "expert", "necessity") == 1.0 and value(summaries, "expert", "specificity") == 1.0
    assert value(summaries, "expert", "consistency") == 1.0
    assert value(summaries, "expert", "obedience") > 0.5 and value(summaries, "expert", "flips") > 0.9
    assert value(summaries, "expert", "insertion_said") > 0.5
    cells = dict(summaries["expert"].cells)
    assert cells["silent"] == cells["invented"] == 0 and cells["faithful"] >= 2


def test_reasons_of_other_scenes_are_not_true_and_not_obeyed(summaries):
    assert value(summaries, "misplaced", "f1") < 0.2 and value(summaries, "misplaced", "absent") > 0.5
    assert value(summaries, "misplaced", "obedience") == 0.0 and value(summaries, "misplaced", "flips") < 0.3
    assert dict(summaries["misplaced"].cells)["silent"] >= 2


def test_who_talks_well_and_drives_blind_names_causes_that_are_none(summaries):
    assert value(summaries, "talker", "f1") > 0.9, "its words are true"
    assert value(summaries, "talker", "necessity") == 0.0, "but nothing that it names matters"
    assert dict(summaries["talker"].cells)["invented"] >= 2 and dict(summaries["talker"].cells)["faithful"] == 0
    assert value(summaries, "talker", "consistency") < 1.0 and value(summaries, "talker", "dose") == 0.0


def test_who_always_says_the_same_is_silent_about_what_decides(summaries):
    assert dict(summaries["monotone"].cells)["silent"] >= 2
    assert value(summaries, "monotone", "recall") < 0.7 and value(summaries, "monotone", "obedience") == 0.0


def test_a_parrot_is_consistent_and_does_not_obey(summaries):
    assert value(summaries, "parrot", "consistency") == 1.0
    assert value(summaries, "parrot", "obedience") == 0.0 and value(summaries, "parrot", "f1") == 0.0


def test_the_bench_ranks_the_expert_above_all(summaries):
    def rank(name: str) -> float:
        keys = ("f1", "necessity", "obedience", "consistency")
        return sum(min(np.nan_to_num(value(summaries, name, key)), 1.0) for key in keys)

    assert rank("expert") > max(rank(name) + 0.5 for name in summaries if name != "expert")


def test_a_weaker_cause_never_does_more(results):
    doses = [d for m in results["expert"] for d in m.doses]
    assert doses and all(d.monotone for d in doses if d.responds) and any(d.responds for d in doses)


def test_every_event_lands_in_one_cell(results, summaries):
    for name, found in results.items():
        assert all(m.cell in CELLS for m in found)
        assert sum(count for _, count in summaries[name].cells) == len(found)


class Fickle(Obedient):
    """Plans a millimetre otherwise each time."""

    asked: ClassVar[list[int]] = [0]

    def decide(self, observation: Observation) -> Decision:
        decision, plan = super().decide(observation), super().decide(observation).trajectory
        self.asked[0] += 1
        return replace(decision, trajectory=replace(plan, xyz=plan.xyz + 1e-3 * self.asked[0]))


def test_a_policy_that_answers_twice_differently_gets_no_figures(past, events):
    found = measure(scene_of(past[events[0].family], Fickle(EXPERT)), events[0], (), FaithConfig(closed_loop_s=0.0))
    assert found.null_m > 0.0
    with pytest.raises(NullArmError, match="asked twice"):
        summarise("fickle", [found], True)


def test_what_needs_words_is_not_measurable_without_them(past, events):
    assert not isinstance(EXPERT, Spoken)
    found = measure(scene_of(past[events[0].family], EXPERT), events[0], ELSEWHERE, FaithConfig(closed_loop_s=0.0))
    summary = summarise("mute", [found], False)
    assert found.words == () and np.isnan(summary.figure("obedience").value)
    assert summary.figure("consistency").value == 1.0


def test_in_closed_loop_the_yield_vanishes_with_its_cause(past, events):
    event = next(e for e in events if e.kind == "pedestrian")
    found = measure(scene_of(past[event.family], Obedient(EXPERT)), event, (), FaithConfig(closed_loop_s=4.0))
    assert found.closed is not None and found.closed.did and found.closed.vanished and found.closed.further_m > 3.0


def test_blanked_cameras_show_nobody(past, events):
    event = next(e for e in events if e.kind == "pedestrian")
    scene = scene_of(past[event.family], EXPERT)
    base, blind = scene.ask(event.k), EXPERT.decide(scene.blind(event.k))
    assert blind.reasoning is not None and all("pedestrian" not in c.kind for c in blind.reasoning.causes)
    assert moved_m(base.trajectory, blind.trajectory) > 1.0


def test_what_was_measured_comes_back_from_disk(results, tmp_path):
    store = FaithStore(tmp_path, "a", "b")
    for m in results["expert"]:
        store.put(m)
        back = store.get(m.event)
        assert back is not None and back.arms == m.arms and back.causes == m.causes and back.doses == m.doses
        assert back.words == m.words and back.plans == m.plans and back.cell == m.cell
    assert FaithStore(tmp_path, "a", "other").get(results["expert"][0].event) is None
    found = (Found(results["expert"][0].event, "words"),)
    store.put_survey(found[0].event, found)
    assert store.get_survey(found[0].event) == found


def test_the_page_says_it_all_and_needs_nothing_else(results, summaries, tmp_path):
    for name in ("expert", "talker"):
        report = make_faith_report(summaries[name], results[name], (("split", "test"),))
        text = write_faith_page(report, (), tmp_path).read_text(encoding="utf-8")
        assert "@@" not in text and "http-equiv" in text and "src=" not in text
        for words in ("Was it true?", "Did it matter?", "Does the car obey it?", "faithful", "arXiv 2511.00088"):
            assert words in text
    kinds = {case.kind for case in telling(results["talker"], 3)}
    assert "invented" in kinds and "faithful" not in kinds
    named = [a for m in results["talker"] for a in m.arms if a.arm == NECESSITY]
    assert named and not any(a.changed for a in named)
