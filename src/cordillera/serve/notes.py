"""What the contract has no field for, as UTF-8 JSON with a schema's name: reasons with a plan, navigation with a drive.

Reasons travel in `DriveResponse.debug_info.unstructured_debug_info`, where other drivers put pickles. Unpickling runs
whatever its sender likes, so nothing here ever unpickles: bytes that are no JSON of ours are simply no note.
Navigation travels in `DriveRequest.renderer_data`, which belongs to whoever draws the pictures.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from cordillera.types import Cause, DriveOutput, Lateral, Longitudinal, ReasoningTrace, Verdict

REASONING = "cordillera.reasoning/1"
NAVIGATION = "cordillera.navigation/1"
LONGEST = 64 * 1024  # bytes of a note
LONGEST_TEXT = 400  # characters of an instruction
COMMANDS = ("follow", "left", "right", "straight", "change-left", "change-right", "arrive")


@dataclass(frozen=True, eq=False)
class Reasons:
    """What a driver said with its plan."""

    policy: str
    verdict: Verdict
    reasoning: ReasoningTrace | None
    latency_ms: float


@dataclass(frozen=True)
class Navigation:
    """What a route's line does not tell; `curvature_1pm` is that of the steering, which a standing car has too.

    With `whole` the route that was submitted is meant as it is, and neither end of it is carried on.
    """

    command: str = "follow"
    text: str = ""
    curvature_1pm: float = math.nan
    whole: bool = False


def reasons_note(output: DriveOutput) -> bytes:
    """What a driver decided -> the note that goes with its plan."""
    decision, trace = output.decision, output.decision.reasoning
    tree: dict[str, Any] = {
        "schema": REASONING,
        "policy": decision.policy,
        "latency_ms": round(decision.latency_ms, 3),
        "verdict": {"action": output.verdict.action, "reasons": list(output.verdict.reasons)},
        "reasoning_text": trace.text if trace else "",
        "reasoning": None,
    }
    if trace is not None:
        tree["reasoning"] = {
            "longitudinal": trace.longitudinal.value if trace.longitudinal else None,
            "lateral": trace.lateral.value if trace.lateral else None,
            "side": trace.side,
            "text": trace.text,
            "source": trace.source,
            "causes": [_cause_tree(cause) for cause in trace.causes],
        }
    return json.dumps(tree, ensure_ascii=False, allow_nan=False).encode()


def reasons_of(data: bytes) -> Reasons | None:
    """Bytes of a driver -> what it said, or None where they are no note of ours, pickles included."""
    tree = _tree(data, REASONING)
    if tree is None:
        return None
    try:
        verdict = Verdict(str(tree["verdict"]["action"]), tuple(str(r) for r in tree["verdict"]["reasons"]))
        trace = _trace_of(tree["reasoning"]) if tree["reasoning"] is not None else None
        return Reasons(str(tree["policy"]), verdict, trace, float(tree["latency_ms"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def navigation_note(navigation: Navigation) -> bytes:
    """Navigation -> the note that goes with a drive request."""
    curvature = navigation.curvature_1pm if math.isfinite(navigation.curvature_1pm) else None
    tree = {
        "schema": NAVIGATION,
        "command": navigation.command,
        "text": navigation.text,
        "curvature_1pm": curvature,
        "whole": navigation.whole,
    }
    return json.dumps(tree, ensure_ascii=False, allow_nan=False).encode()


def navigation_of(data: bytes) -> Navigation | None:
    """Bytes with a drive request -> navigation, or None where they are no note of ours."""
    tree = _tree(data, NAVIGATION)
    if tree is None:
        return None
    command, text, curvature = tree.get("command"), tree.get("text"), tree.get("curvature_1pm")
    curvature = math.nan if curvature is None else curvature
    if command not in COMMANDS or not isinstance(text, str) or len(text) > LONGEST_TEXT:
        return None
    if not isinstance(curvature, float | int) or abs(curvature) > 1e3:
        return None
    return Navigation(command, text, float(curvature), tree.get("whole") is True)


def _tree(data: bytes, schema: str) -> dict[str, Any] | None:
    """Bytes -> the JSON object of that schema, or None."""
    if len(data) > LONGEST or not data.startswith(b"{"):
        return None
    try:
        tree = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) and tree.get("schema") == schema else None


def _cause_tree(cause: Cause) -> dict[str, Any]:
    distance = cause.distance_m if math.isfinite(cause.distance_m) else None
    return {
        "kind": cause.kind,
        "target": cause.target,
        "relation": cause.relation,
        "evidence_t_us": cause.evidence_t_us,
        "distance_m": distance,
        "axis": cause.axis,
        "jointly": cause.jointly,
    }


def _trace_of(tree: dict[str, Any]) -> ReasoningTrace:
    causes = tuple(
        Cause(
            kind=str(cause["kind"]),
            target=str(cause["target"]),
            relation=str(cause["relation"]),
            evidence_t_us=int(cause["evidence_t_us"]),
            distance_m=math.nan if cause["distance_m"] is None else float(cause["distance_m"]),
            axis=str(cause["axis"]),
            jointly=bool(cause["jointly"]),
        )
        for cause in tree["causes"]
    )
    along, across = tree["longitudinal"], tree["lateral"]
    return ReasoningTrace(
        Longitudinal(along) if along else None,
        Lateral(across) if across else None,
        causes,
        str(tree["text"]),
        str(tree["source"]),
        str(tree["side"]),
    )
