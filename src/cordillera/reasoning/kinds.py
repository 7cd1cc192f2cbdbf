"""What may cause a decision: every kind of cause with its nouns in three languages and the relations it may stand in.

`LATERAL_KINDS` are causes of where to go, where the cause itself does not say which decision it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

from cordillera.reasoning.relations import RELATIONS
from cordillera.types import AgentKind


@dataclass(frozen=True)
class CauseKind:
    """One kind of cause: its name (also the English noun), the other nouns, where it is found, and its relations."""

    name: str
    noun: str  # English, without article
    de: str  # German, nominative with article
    ja: str
    target: str  # what identifies it: "agent", "signal", "lane", "crossing", "object" or "scene"
    relations: tuple[str, ...]


def _sided(*keys: str) -> tuple[str, ...]:
    return tuple(key.format(side=side) for key in keys for side in (("left", "right") if "{" in key else ("",)))


_LEAD = ("ahead in the ego lane", "slower ahead", "braking ahead", "stopped ahead", "blocking the ego lane")
_CUT = _sided("moving into the ego lane from the {side}", "pulling out ahead")
_CROSS = _sided(
    "crossing ahead", "from the {side}, has the right of way", "from the {side}, arriving first at the junction",
    "has the right of way", "running the red light",
)  # fmt: skip
_COMING = (
    "coming the other way", "coming the other way in the ego lane", "coming the other way, has the right of way",
    "coming the other way, arriving first at the junction",
)  # fmt: skip
_WALK = _sided(
    "on the crossing ahead", "waiting at the crossing", "on the road ahead", "crossing ahead",
    "stepping onto the road from the {side}", "beside the ego lane on the {side}", "has the right of way",
)  # fmt: skip
_THING = _sided("blocking the ego lane", "narrowing the ego lane from the {side}", "on the road ahead", "ahead")
_BODY = (*_LEAD, *_CUT, *_sided("narrowing the ego lane from the {side}"))
_MERGE = ("entering the same lane ahead", "has priority on the lane to be joined", "taking turns where the lanes merge")
_PLACE = ("ahead", "limits the view")

_ROWS: tuple[tuple[str, str, str, str, str, tuple[str, ...]], ...] = (
    # ------------------------------------------------------------ vehicles, by what they do to the ego
    ("lead vehicle", "", "das vorausfahrende Fahrzeug", "先行車", "agent",
     (*_LEAD, "standing behind the junction, which must stay clear")),
    ("cut-in vehicle", "", "das einscherende Fahrzeug", "割り込み車", "agent", _CUT),
    ("merging vehicle", "", "das einfädelnde Fahrzeug", "合流車", "agent", _MERGE),
    ("adjacent vehicle", "", "das Fahrzeug nebenan", "隣の車", "agent",
     _sided("beside the gap in the {side} lane", "in the {side} lane where this lane ends", *_MERGE)),
    ("cross-traffic vehicle", "", "das querende Fahrzeug", "交差車", "agent", _CROSS),
    ("oncoming vehicle", "", "das entgegenkommende Fahrzeug", "対向車", "agent", _COMING),
    ("wrong-way driver", "", "der Falschfahrer", "逆走車", "agent", _COMING[:2]),
    ("vehicle behind", "", "das Fahrzeug hinten", "後続車", "agent", ("close behind",)),
    ("parked vehicle", "", "das geparkte Fahrzeug", "駐車車両", "agent",
     (*_THING, "pulling out ahead", "reversing into the ego lane", "hides the way ahead")),
    ("reversing vehicle", "", "das zurücksetzende Fahrzeug", "後退車", "agent",
     ("reversing into the ego lane", "crossing ahead")),
    ("vehicle door", "", "die Fahrzeugtür", "車のドア", "agent", ("opening into the ego lane", *_THING)),
    ("emergency vehicle", "", "das Einsatzfahrzeug", "緊急車両", "agent",
     ("approaching from behind with its siren on", "crossing with its siren on", *_BODY, *_CROSS, *_COMING)),
    ("school bus", "", "der Schulbus", "スクールバス", "agent",
     ("stopped with its stop arm out", "letting people on or off", *_BODY)),
    # ------------------------------------------------------------ vehicles and people, by what they are
    *((kind, "", de, ja, "agent", (*_BODY, *_CROSS, *_COMING)) for kind, de, ja in (
        ("car", "das Auto", "乗用車"), ("van", "der Lieferwagen", "バン"), ("truck", "der Lastwagen", "トラック"),
        ("motorcycle", "das Motorrad", "オートバイ"), ("trailer", "der Anhänger", "トレーラー"),
        ("tractor", "der Traktor", "トラクター"),
    )),
    ("bus", "", "der Bus", "バス", "agent", (*_BODY, *_CROSS, *_COMING, "letting people on or off")),
    ("tram", "", "die Straßenbahn", "路面電車", "agent",
     (*_LEAD, *_CROSS, *_COMING, "letting people on or off", "has the right of way")),
    ("train", "", "der Zug", "列車", "agent", ("crossing ahead", "has the right of way")),
    ("cyclist", "", "der Radfahrer", "自転車", "agent",
     (*_BODY, *_WALK, *_CROSS, *_COMING, "swerving into the ego lane", "riding against the traffic")),
    ("pedestrian", "", "der Fußgänger", "歩行者", "agent", (*_WALK, "blocking the ego lane")),
    ("child", "", "das Kind", "子ども", "agent", (*_WALK, "running after a ball", "blocking the ego lane")),
    ("wheelchair", "wheelchair user", "die Person im Rollstuhl", "車椅子の人", "agent",
     (*_WALK, "blocking the ego lane")),
    ("animal", "", "das Tier", "動物", "agent", (*_WALK, "blocking the ego lane")),
    ("police officer", "", "der Polizist", "警察官", "agent", ("signalling stop", "waving the ego on", *_WALK)),
    ("flagger", "", "der Warnposten", "誘導員", "agent", ("signalling stop", "waving the ego on", *_WALK)),
    # ------------------------------------------------------------ things
    *((kind, "", de, ja, "agent", _THING) for kind, de, ja in (
        ("ball", "der Ball", "ボール"), ("debris", "das Trümmerteil", "落下物"), ("cone", "der Leitkegel", "コーン"),
        ("barrier", "die Absperrung", "バリア"), ("warning triangle", "das Warndreieck", "三角表示板"),
        ("fallen tree", "der umgestürzte Baum", "倒木"), ("lost cargo", "die verlorene Ladung", "落とした積荷"),
        ("work machine", "die Baumaschine", "工事機械"), ("obstacle", "das Hindernis", "障害物"),
    )),
    ("roadblock", "blockade", "die Straßensperre", "通行止め", "object", (*_THING, "closed ahead")),
    ("work zone", "", "die Baustelle", "工事区間", "object", _THING),
    # ------------------------------------------------------------ lights, signs and rules
    ("traffic light", "", "die Ampel", "信号", "signal",
     ("red at the stop line ahead", "amber at the stop line ahead", "green", "turned green", "dark", "flashing red",
      "flashing amber")),
    ("stop sign", "", "das Stoppschild", "一時停止標識", "signal", ("regulates the lane ahead",)),
    ("give-way sign", "", "das Vorfahrt-gewähren-Schild", "譲れ標識", "signal", ("regulates the lane ahead",)),
    ("crossing", "", "der Überweg", "横断歩道", "crossing", (*_PLACE, "clear ahead")),
    ("junction", "", "die Kreuzung", "交差点", "lane",
     ("ahead", "clear ahead", "gives priority to the right", "goes in order of arrival")),
    ("roundabout", "", "der Kreisverkehr", "環状交差点", "lane",
     ("ahead", "clear ahead", "gives priority to its traffic")),
    ("rail crossing", "", "der Bahnübergang", "踏切", "signal",
     ("ahead", "closed ahead", "flashing red", "clear ahead")),
    # ------------------------------------------------------------ the road, the route and the sight
    *((kind, "", de, ja, "lane", _sided("bends to the {side}", "ahead", "limits the view")) for kind, de, ja in (
        ("curve", "die Kurve", "カーブ"), ("turn", "die Abzweigung", "右左折"),
    )),
    ("speed limit", "", "das Tempolimit", "制限速度", "lane", ("lower ahead", "sets the speed")),
    ("road", "", "die Straße", "道路", "lane", ("clear ahead", "ends ahead", "closed ahead")),
    ("lane end", "lane", "die Spur", "車線", "lane", ("ends ahead", "closed ahead")),
    ("gap", "", "die Lücke", "車間", "lane", ("clear ahead", "closed ahead")),
    ("speed bump", "", "die Bremsschwelle", "ハンプ", "object", ("ahead",)),
    ("pothole", "pothole field", "das Schlaglochfeld", "路面の穴", "object", _THING),
    ("flooded road", "", "die überflutete Straße", "冠水路", "object", _THING),
    ("narrow road", "", "die Engstelle", "狭い道", "lane", ("ahead",)),
    ("hill", "", "die Kuppe", "坂の頂上", "lane", _PLACE),
    *((kind, "", de, ja, "scene", ("limits the view",)) for kind, de, ja in (
        ("fog", "der Nebel", "霧"), ("low sun", "die tiefe Sonne", "低い太陽"), ("glare", "die Blendung", "まぶしさ"),
        ("rain", "der Regen", "雨"), ("darkness", "die Dunkelheit", "暗さ"),
    )),
    ("hidden area", "", "der verdeckte Bereich", "死角", "scene", _PLACE),
    ("route", "", "die Route", "経路", "lane",
     _sided("leads straight on", "leads to the {side}", "leads to the {side} lane", "leads back", "ends ahead")),
    ("destination", "", "das Ziel", "目的地", "lane", ("at the end of the route",)),
)  # fmt: skip


def _table() -> dict[str, CauseKind]:
    out = {}
    for name, noun, de, ja, target, relations in _ROWS:
        out[name] = CauseKind(name, noun or name, de, ja, target, tuple(dict.fromkeys(relations)))
        for key in relations:
            if key not in RELATIONS:
                raise ValueError(
                    f"kind {name!r} names relation {key!r}, which reasoning/relations.py lacks; add it there"
                )
    return out


KINDS: dict[str, CauseKind] = _table()
LATERAL_KINDS = frozenset({"route", "gap", "lane end"})  # causes of where to go, unless they say otherwise
_BY_AGENT = {
    AgentKind.BICYCLE: "cyclist", AgentKind.AMBULANCE: "emergency vehicle", AgentKind.POLICE_CAR: "emergency vehicle",
    AgentKind.FIRE_ENGINE: "emergency vehicle", AgentKind.CARGO: "lost cargo", AgentKind.DOOR: "vehicle door",
    AgentKind.GATE: "barrier", AgentKind.FLOOD: "flooded road",
}  # fmt: skip


def kind_of_agent(kind: int) -> str:
    """An `AgentKind` code -> the plain kind of cause for it, "obstacle" where there is no closer word."""
    try:
        agent = AgentKind(kind)
    except ValueError:
        return "obstacle"
    name = _BY_AGENT.get(agent, agent.name.lower().replace("_", " "))
    return name if name in KINDS else "obstacle"
