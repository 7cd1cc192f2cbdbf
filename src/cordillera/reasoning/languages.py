"""A trace -> the same said in German or Japanese: the trace, not its English sentence, is what is true."""

from __future__ import annotations

import math

from cordillera.reasoning.kinds import KINDS
from cordillera.reasoning.relations import RELATIONS
from cordillera.reasoning.schema import AXES, spoken
from cordillera.types import Cause, Lateral, Longitudinal, ReasoningTrace

_LONGITUDINAL: dict[Longitudinal | None, tuple[str, str]] = {  # German infinitive, Japanese plain form
    None: ("weiterfahren", "そのまま進む"),
    Longitudinal.SET_SPEED: ("das Tempo halten", "設定速度を保つ"),
    Longitudinal.FOLLOW_LEAD: ("sicheren Abstand halten", "安全な車間距離を保つ"),
    Longitudinal.SPEED_ADAPTATION: ("das Tempo anpassen", "速度を調整する"),
    Longitudinal.GAP_SEARCH: ("eine Lücke suchen", "車間を探す"),
    Longitudinal.OVERTAKE: ("zum Überholen beschleunigen", "追い越すために加速する"),
    Longitudinal.YIELD: ("Vorrang gewähren", "道を譲る"),
    Longitudinal.STOP: ("anhalten", "停止する"),
}
_LATERAL: dict[Lateral, tuple[str, str]] = {  # "{side}" becomes the side with its word in front, or nothing
    Lateral.LANE_KEEPING: ("die Spur halten", "車線を維持する"),
    Lateral.MERGE_SPLIT: ("{side}einfädeln", "{side}合流する"),
    Lateral.OUT_OF_LANE_NUDGE: ("{side}über die Spurlinie ausweichen", "{side}車線をまたいで避ける"),
    Lateral.IN_LANE_NUDGE: ("{side}in der Spur ausweichen", "{side}車線内で寄る"),
    Lateral.LANE_CHANGE: ("{side}die Spur wechseln", "{side}車線変更する"),
    Lateral.PULL_OVER: ("{side}an den Rand fahren", "{side}路肩に寄せる"),
    Lateral.TURN: ("{side}abbiegen", "{side}曲がる"),
    Lateral.ABORT: ("das Manöver abbrechen", "操作を中止する"),
}
_SIDES = {
    "de": {"left": "nach links ", "right": "nach rechts ", "": ""},
    "ja": {"left": "左へ", "right": "右へ", "": ""},
}


def german(trace: ReasoningTrace, distances: bool = False) -> str:
    """A trace -> one German sentence: decisions in the infinitive, causes after "weil"."""
    told = spoken(trace, distances)
    clauses = []
    for axis, decision in zip(AXES, _decisions(told, "de"), strict=True):
        if decision is None:
            continue
        causes = [c for c in told.causes if c.axis == axis]
        reasons = [_german_reason(c) for c in causes]
        joined = "".join(
            r if k == 0 else (" und ebenso, weil " if c.jointly else " und weil ") + r
            for k, (c, r) in enumerate(zip(causes, reasons, strict=True))
        )
        clauses.append(f"{decision}, weil {joined}" if reasons else decision)
    text = (", und " if any("weil" in clause for clause in clauses[:1]) else " und ").join(clauses)
    return f"{text[0].upper()}{text[1:]}."


def japanese(trace: ReasoningTrace, distances: bool = False) -> str:
    """A trace -> the same in Japanese, a sentence for each decision: causes before "ため", the decision after them."""
    told = spoken(trace, distances)
    clauses = []
    for axis, decision in zip(AXES, _decisions(told, "ja"), strict=True):
        if decision is None:
            continue
        reasons = ""
        causes = [c for c in told.causes if c.axis == axis]
        for k, cause in enumerate(causes):
            last = k == len(causes) - 1
            link = "ため、" if last else "うえ、" if not causes[k + 1].jointly else "ため、また"
            reasons += _japanese_reason(cause) + link
        clauses.append(reasons + decision)
    return "。また、".join(clauses) + "。"


def _decisions(trace: ReasoningTrace, language: str) -> tuple[str | None, str | None]:
    """Both decisions in words; None where nothing is decided and the other says enough."""
    column = 0 if language == "de" else 1
    along = None if trace.longitudinal is None and trace.lateral is not None else _LONGITUDINAL[trace.longitudinal]
    across = None if trace.lateral is None else _LATERAL[trace.lateral]
    side = _SIDES[language][trace.side]
    return (along[column] if along else None), (across[column].format(side=side) if across else None)


def _german_reason(cause: Cause) -> str:
    far = f" (etwa {cause.distance_m:.0f} m entfernt)" if math.isfinite(cause.distance_m) else ""
    return f"{KINDS[cause.kind].de} {RELATIONS[cause.relation].de}{far}"


def _japanese_reason(cause: Cause) -> str:
    far = f"約{cause.distance_m:.0f} m先の" if math.isfinite(cause.distance_m) else ""
    return f"{far}{KINDS[cause.kind].ja}が{RELATIONS[cause.relation].ja}"
