"""Traces and their sentences: every decision, cause and wording there and back; faults with their place; few tokens."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordillera.policy.vla.config import OWN_TEXT_TOKENS
from cordillera.policy.vla.grammar import TextGrammar, forced
from cordillera.policy.vla.tokenizer import PROMPT_PHRASES
from cordillera.reasoning.grammar import (
    BUCKETS_M,
    END,
    LATERAL,
    LONGITUDINAL,
    MAX_CAUSES,
    PRODUCTIONS,
    START,
    TraceSyntaxError,
    following,
    pieces,
    readings,
    vocabulary,
)
from cordillera.reasoning.kinds import KINDS, kind_of_agent
from cordillera.reasoning.languages import german, japanese
from cordillera.reasoning.relations import RELATIONS
from cordillera.reasoning.schema import bucket, parse, same_words, sentence, spoken, write
from cordillera.types import AgentKind, Cause, Lateral, Longitudinal, ReasoningTrace

LEAD = Cause("lead vehicle", "agent:7", "ahead in the ego lane", 0, 20.0)
LIGHT = Cause("traffic light", "signal:3", "red at the stop line ahead", 0, 30.0)
CROSSER = Cause("cross-traffic vehicle", "agent:2", "has the right of way", 0, 12.0)
ROUTE = Cause("route", "lane:4", "leads to the left", 0, 9.0)
SIDED = (Lateral.MERGE_SPLIT, Lateral.OUT_OF_LANE_NUDGE, Lateral.IN_LANE_NUDGE, Lateral.LANE_CHANGE, Lateral.PULL_OVER)

kinds_and_relations = st.sampled_from([(kind, key) for kind, row in KINDS.items() for key in row.relations])


@st.composite
def traces(draw: st.DrawFn) -> ReasoningTrace:
    causes = []
    for axis in ("longitudinal", "lateral"):
        for kind, key in draw(st.lists(kinds_and_relations, max_size=MAX_CAUSES)):
            target, far = f"agent:{draw(st.integers(0, 99))}", draw(st.floats(-5.0, 300.0) | st.just(float("nan")))
            causes.append(Cause(kind, target, key, draw(st.integers(0, 10**7)), far, axis, draw(st.booleans())))
    longitudinal = draw(st.sampled_from([None, *Longitudinal]))
    lateral = draw(st.sampled_from([None, *Lateral]))
    if longitudinal is None or lateral is None:
        causes = causes[:MAX_CAUSES]
    side = draw(st.sampled_from(["", "left", "right"]))
    return ReasoningTrace(longitudinal, lateral, tuple(causes), "", "test", side)


# ----------------------------------------------------------------------- there and back


@settings(max_examples=200, deadline=None)
@given(traces(), st.integers(0, 2**31), st.booleans())
def test_what_is_written_is_read_back_exactly(trace: ReasoningTrace, seed: int, distances: bool):
    text = write(trace, seed, distances)
    assert len(readings(text)) == 1, "a sentence has one meaning"
    said, told = parse(text), spoken(trace, distances)
    assert (said.longitudinal, said.lateral, said.side) == (told.longitudinal, told.lateral, told.side)
    assert len(said.causes) == len(told.causes)
    for a, b in zip(said.causes, told.causes, strict=True):
        assert (a.kind, a.relation, a.axis, a.jointly) == (b.kind, b.relation, b.axis, b.jointly)
        assert a.distance_m == b.distance_m or (a.distance_m != a.distance_m and b.distance_m != b.distance_m)
    assert write(trace, seed, distances) == text
    assert "".join(pieces(text)) == text


def test_every_production_is_used_by_a_sentence_that_reads_back():
    """Walk the table so that each production, and so each phrasing of each decision, kind and relation, occurs."""
    into: dict = {START: ()}
    front = [START]
    for state in front:  # the first way found into every state
        for p in PRODUCTIONS.get(state, ()):
            if p.then not in into:
                into[p.then] = (*into[state], p)
                front.append(p.then)
    out: dict = {END: ()}
    while set(into) - set(out):  # and from every state to the end
        out = {p.state: (p, *out[p.then]) for row in PRODUCTIONS.values() for p in row if p.then in out} | out
    checked = 0
    for state in front:
        for p in PRODUCTIONS.get(state, ()):
            way = (*into[state], p, *out[p.then])
            text, means = "".join(q.text for q in way), tuple(m for q in way for m in q.means)
            assert readings(text) == (means,), text
            checked += 1
    assert checked == sum(len(row) for row in PRODUCTIONS.values()) > 5000


def test_closed_sets_are_complete():
    assert set(LONGITUDINAL) == {None, *Longitudinal}
    assert set(LATERAL) == set(Lateral)
    assert {key for row in KINDS.values() for key in row.relations} == set(RELATIONS)
    assert all(kind_of_agent(kind) in KINDS and kind_of_agent(kind) != "obstacle" for kind in AgentKind)
    assert kind_of_agent(999) == "obstacle"


def test_the_seed_varies_the_words_and_not_the_meaning():
    trace = ReasoningTrace(Longitudinal.STOP, Lateral.TURN, (LIGHT, ROUTE), "", "test", "left")
    texts = {write(trace, seed) for seed in range(300)}
    assert len(texts) > 60
    assert all(same_words(parse(text), trace) for text in texts)
    assert same_words(trace, replace(trace, causes=(ROUTE, LIGHT))), "the decision orders the causes"
    assert not same_words(trace, replace(trace, side="right"))


# ----------------------------------------------------------------------- what is said


def test_the_cause_is_named_once_and_then_it():
    told = {sentence(Longitudinal.YIELD, None, (replace(CROSSER, target=f"agent:{k}"),)) for k in range(40)}
    assert all(text.count("cross-traffic vehicle") == 1 for text in told)
    assert any(re.fullmatch(r"Yield to the cross-traffic vehicle (since|because|as) it has .*", text) for text in told)


def test_the_recorded_manner():
    assert parse("Turn right since the traffic light is green.").side == "right"
    both = parse(
        "Stop since the traffic light is red and also because the lead vehicle is stopped ahead, and turn left."
    )
    assert [c.jointly for c in both.causes] == [False, True]
    assert (both.longitudinal, both.lateral, both.side) == (Longitudinal.STOP, Lateral.TURN, "left")
    nudge = parse("Keep the set speed, and move to the left within the lane since the cyclist is slower ahead.")
    assert nudge.causes[0].axis == "lateral" and nudge.lateral is Lateral.IN_LANE_NUDGE


def test_wording_varies_between_objects_and_not_between_calls():
    causes = [(replace(LEAD, target=f"agent:{k}"),) for k in range(200)]
    said = [sentence(Longitudinal.FOLLOW_LEAD, None, cause) for cause in causes]
    assert said == [sentence(Longitudinal.FOLLOW_LEAD, None, cause) for cause in causes]
    assert len(set(said)) == 3 * 3 * 2, "decisions x links x wordings of the relation"
    # When and how far is no part of the wording, so a sentence holds as long as its reason does.
    later = replace(LEAD, evidence_t_us=900_000, distance_m=3.0)
    assert sentence(Longitudinal.FOLLOW_LEAD, None, (later,)) == sentence(Longitudinal.FOLLOW_LEAD, None, (LEAD,))


def test_distances_are_told_in_five_steps_and_only_on_request():
    trace = ReasoningTrace(Longitudinal.FOLLOW_LEAD, None, (LEAD,), "", "test")
    assert "20 m" in write(trace, distances=True) and " m away" not in write(trace)
    assert [bucket(d) for d in (-3.0, 6.0, 9.0, 25.0, 50.0, 500.0)] == [5.0, 5.0, 10.0, 20.0, 40.0, 80.0]
    assert all(bucket(float(b)) == b for b in BUCKETS_M)


def test_what_has_no_sentence_says_what_to_do():
    trace = ReasoningTrace(Longitudinal.STOP, None, (Cause("unicorn", "agent:1", "ahead", 0),), "", "test")
    with pytest.raises(ValueError, match="unknown kind of cause 'unicorn'"):
        write(trace)
    with pytest.raises(ValueError, match="a stop sign is not 'dark'; it may be regulates"):
        write(replace(trace, causes=(Cause("stop sign", "signal:1", "dark", 0),)))
    with pytest.raises(ValueError, match="no sentence says"):
        write(replace(trace, causes=(LEAD,) * (MAX_CAUSES + 1)))


@given(traces(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_german_and_japanese_tell_the_same_trace(trace: ReasoningTrace, distances: bool):
    told = spoken(trace, distances)
    de, ja = german(trace, distances), japanese(trace, distances)
    assert de.endswith(".") and ja.endswith("。")
    for cause in told.causes:
        assert f"{KINDS[cause.kind].de} {RELATIONS[cause.relation].de}" in de
        assert f"{KINDS[cause.kind].ja}が{RELATIONS[cause.relation].ja}" in ja
    if told.side:
        assert {"left": "links", "right": "rechts"}[told.side] in de and {"left": "左", "right": "右"}[told.side] in ja


def test_one_trace_in_three_languages():
    trace = ReasoningTrace(Longitudinal.STOP, Lateral.TURN, (LIGHT, ROUTE), "", "test", "left")
    assert (
        german(trace) == "Anhalten, weil die Ampel rot ist, und nach links abbiegen, weil die Route nach links führt."
    )
    assert japanese(trace) == "信号が赤であるため、停止する。また、経路が左に向かうため、左へ曲がる。"


# ----------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 0, "Stop"),
        ("Halt since the traffic light is red.", 1, "old the speed"),
        ("Stop since the traffic light is blue.", 32, "red"),
        ("Stop since the traffic light is red", 35, "."),
        ("Stop since the traffic light is red. ", 36, "the end of the text"),
        ("Stop since the stop sign is red.", 25, "regulates the lane ahead"),
        ("Stop, and keep the lane, and turn left.", 23, "."),
    ],
)
def test_unparseable_text_gives_the_position_and_what_was_expected(text: str, position: int, expected: str):
    with pytest.raises(TraceSyntaxError) as fault:
        parse(text)
    assert fault.value.position == position
    assert expected in fault.value.expected
    assert f"position {position}" in str(fault.value)


@settings(max_examples=60, deadline=None)
@given(traces(), st.integers(0, 999), st.integers(0, 10**6), st.characters(codec="ascii"))
def test_a_changed_letter_is_a_fault_there_or_another_sentence(trace: ReasoningTrace, seed: int, at: int, letter: str):
    text = write(trace, seed)
    at %= len(text)
    changed = text[:at] + letter + text[at + 1 :]
    try:
        parse(changed)
    except TraceSyntaxError as fault:
        assert at <= fault.position <= len(changed)
        with pytest.raises(TraceSyntaxError):
            following(changed[: fault.position + 1])


# ----------------------------------------------------------------------- constrained decoding, few tokens


@settings(max_examples=40, deadline=None)
@given(traces(), st.integers(0, 999))
def test_pieces_that_may_follow_never_begin_each_other_and_hold_the_next_one(trace: ReasoningTrace, seed: int):
    text = write(trace, seed, True)
    done = ""
    for piece in (*pieces(text), ""):
        options = following(done)
        assert piece in options
        assert not any(a != b and b.startswith(a) for a in options for b in options)
        done += piece
    assert following(text) == ("",)


def test_the_grammar_bounds_a_decoder_and_skips_what_is_forced():
    words = {piece: n for n, piece in enumerate(vocabulary())}
    grammar = TextGrammar(following, lambda piece: [words[piece]], closing=(1000, 1001))
    state = grammar.start()
    for piece in pieces("Give way to the cyclist since it crosses ahead."):
        assert words[piece] in grammar.allowed(state)
        state = grammar.advance(state, words[piece])
    assert forced(grammar, state)[0] == [1000, 1001], "the end is forced"
    state = grammar.advance(grammar.start(), words["Slow down"])
    assert forced(grammar, state)[0] == [words[" for"]], "one word may come, so the model is not asked"


def test_a_typical_trace_has_at_most_16_tokens_and_the_words_fit_the_small_vocabulary():
    assert len(vocabulary()) <= OWN_TEXT_TOKENS - 256 - len(PROMPT_PHRASES)
    typical = (
        (Longitudinal.STOP, Lateral.LANE_KEEPING, (LIGHT,), ""),
        (Longitudinal.FOLLOW_LEAD, Lateral.LANE_KEEPING, (LEAD,), ""),
        (Longitudinal.YIELD, Lateral.TURN, (CROSSER, ROUTE), "left"),
        (Longitudinal.STOP, Lateral.LANE_KEEPING, (LIGHT, replace(LEAD, jointly=True)), ""),
        (Longitudinal.SET_SPEED, Lateral.LANE_KEEPING, (Cause("speed limit", "lane:1", "sets the speed", 0),), ""),
    )
    for seed in range(40):
        for longitudinal, lateral, causes, side in typical:
            text = write(ReasoningTrace(longitudinal, lateral, causes, "", "test", side), seed, distances=False)
            assert len(pieces(text)) <= 16, text


@settings(max_examples=60, deadline=None)
@given(traces(), st.integers(0, 999), st.booleans())
def test_a_tokenizer_of_these_words_cuts_a_whole_text_as_the_decoder_does(trace, seed: int, distances: bool):
    """Training encodes sentences whole, constrained decoding piece by piece; both must give the same tokens."""
    text = write(trace, seed, distances)
    encoding = small_tokenizer().encode(text)
    assert [text[a:b] for a, b in encoding.offsets] == list(pieces(text))


@cache
def small_tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    base = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    base.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [w for w in (*PROMPT_PHRASES, *vocabulary()) if len(w) > 1]
    base.add_tokens([tokenizers.AddedToken(w, normalized=False) for w in words])
    return base
