"""A trace in words: decision and causes in, one English sentence out.

The sentence says the decision and only its causes. Its wording varies, but the same trace always reads the same.
"""

from __future__ import annotations

import zlib

from cordillera.types import Cause, Lateral, Longitudinal

ACTIONS: dict[Longitudinal, tuple[str, ...]] = {
    Longitudinal.SET_SPEED: ("Keep the set speed", "Drive at the allowed speed", "Hold a steady speed"),
    Longitudinal.FOLLOW_LEAD: ("Keep a safe distance", "Follow with a safe gap", "Keep the gap"),
    Longitudinal.SPEED_ADAPTATION: ("Adapt the speed", "Slow down to a suitable speed", "Adjust the speed"),
    Longitudinal.GAP_SEARCH: ("Look for a gap", "Match the speed to find a gap"),
    Longitudinal.OVERTAKE: ("Accelerate to pass", "Speed up to overtake"),
    Longitudinal.YIELD: ("Yield", "Give way"),
    Longitudinal.STOP: ("Stop", "Come to a stop"),
}
MANOEUVRES: dict[Lateral, tuple[str, ...]] = {
    Lateral.MERGE_SPLIT: ("follow the merge",),
    Lateral.OUT_OF_LANE_NUDGE: ("move around it",),
    Lateral.IN_LANE_NUDGE: ("keep to one side of the lane",),
    Lateral.LANE_CHANGE: ("change lanes", "prepare the lane change"),
    Lateral.PULL_OVER: ("pull over",),
    Lateral.TURN: ("turn", "take the turn"),
    Lateral.ABORT: ("break off the manoeuvre",),
}
LINKS = ("since", "because", "as")


def sentence(longitudinal: Longitudinal | None, lateral: Lateral | None, causes: tuple[Cause, ...]) -> str:
    """Decisions and causes, the one of the speed first -> a sentence; one and the same for the same arguments."""
    identity = "|".join((str(longitudinal), str(lateral), *(f"{c.kind}{c.target}{c.relation}" for c in causes)))
    draw = zlib.crc32(identity.encode())
    link = LINKS[draw % len(LINKS)]
    parts = []
    if longitudinal is not None and causes:
        options = ACTIONS[longitudinal]
        action = options[draw // 7 % len(options)]
        whom = _joined(longitudinal, causes[0])
        parts.append(f"{action}{whom} {link} {_reason(causes[0], named=bool(whom))}")
    if lateral is not None and lateral in MANOEUVRES:
        options = MANOEUVRES[lateral]
        way = options[draw // 31 % len(options)]
        route = next((c for c in causes if c.kind == "route"), None)
        parts.append(f"{way} as {route.relation}" if route else way)
    if not parts:
        return "Keep the lane."
    text = ", and ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _joined(longitudinal: Longitudinal, cause: Cause) -> str:
    """The object of the action: whom to yield to, what to keep the gap to, what to adapt the speed to."""
    if longitudinal is Longitudinal.YIELD:
        return f" to the {cause.kind}"
    if longitudinal is Longitudinal.FOLLOW_LEAD:
        return f" to the {cause.kind}"
    if longitudinal is Longitudinal.SPEED_ADAPTATION and cause.kind != "speed limit":
        return f" for the {cause.kind}"
    return ""


def _reason(cause: Cause, named: bool) -> str:
    """A cause -> the clause that says how it stands to the ego; "it", where the action has named it already."""
    if cause.kind in ("curve", "turn", "speed limit") and cause.relation.startswith("the "):
        return cause.relation
    subject = "it" if named else f"the {cause.kind}"
    return f"{subject} {cause.relation}" if _has_verb(cause.relation) else f"{subject} is {cause.relation}"


def _has_verb(relation: str) -> bool:
    return relation.split()[0] in ("has", "regulates", "leads", "blocks", "stands")
