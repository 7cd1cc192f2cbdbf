"""Sentences of traces: the decision and only its causes, always the same for the same trace."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cordillera.reasoning.schema import ACTIONS, MANOEUVRES, sentence
from cordillera.types import Cause, Lateral, Longitudinal

LEAD = Cause("lead vehicle", "agent:7", "ahead in the ego lane", 0, 20.0)
LIGHT = Cause("traffic light", "signal:3", "red at the stop line ahead", 0, 30.0)
CROSSER = Cause("cross-traffic vehicle", "agent:2", "has the right of way", 0, 12.0)
ROUTE = Cause("route", "lane:4", "the route leads to the left", 0, 9.0)


def test_the_cause_is_named_once_and_then_it():
    said = sentence(Longitudinal.FOLLOW_LEAD, Lateral.LANE_KEEPING, (LEAD,))
    assert said.count("lead vehicle") == 1
    assert re.search(r"to the lead vehicle (since|because|as) it is ahead in the ego lane\.$", said)
    said = sentence(Longitudinal.YIELD, None, (CROSSER,))
    assert re.search(r"to the cross-traffic vehicle (since|because|as) it has the right of way\.$", said)


def test_a_stop_names_what_it_stops_for():
    said = sentence(Longitudinal.STOP, None, (LIGHT,))
    assert re.search(r"^(Stop|Come to a stop) (since|because|as) the traffic light is red at the stop line", said)


@pytest.mark.parametrize("lateral", list(MANOEUVRES))
def test_manoeuvres_follow_the_speed_and_give_the_route_as_reason(lateral: Lateral):
    said = sentence(Longitudinal.STOP, lateral, (LIGHT, ROUTE))
    assert ", and " in said and said.endswith("as the route leads to the left.")
    assert any(way in said for way in MANOEUVRES[lateral])


def test_nothing_to_say_is_said_plainly():
    assert sentence(None, Lateral.LANE_KEEPING, ()) == "Keep the lane."


def test_wording_varies_between_objects_and_not_between_calls():
    causes = [(replace(LEAD, target=f"agent:{k}"),) for k in range(60)]
    said = [sentence(Longitudinal.FOLLOW_LEAD, None, cause) for cause in causes]
    assert said == [sentence(Longitudinal.FOLLOW_LEAD, None, cause) for cause in causes]
    assert len(set(said)) == 3 * len(ACTIONS[Longitudinal.FOLLOW_LEAD])
    # When and how far is no part of the wording, so a sentence holds as long as its reason does.
    later = replace(LEAD, evidence_t_us=900_000, distance_m=3.0)
    assert sentence(Longitudinal.FOLLOW_LEAD, None, (later,)) == sentence(Longitudinal.FOLLOW_LEAD, None, (LEAD,))
