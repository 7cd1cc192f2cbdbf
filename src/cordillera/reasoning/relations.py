"""How a cause stands to the ego: every relation with its wordings in English, German and Japanese.

A key is what `Cause.relation` holds. English wordings are predicates after the subject, the first one the plainest,
with "|" between the words of the vocabulary; German ones end a clause with "weil", Japanese ones stand before "ため".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """One relation: its key, its English predicates, one German and one Japanese."""

    key: str
    en: tuple[str, ...]
    de: str
    ja: str


_ROWS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    # ------------------------------------------------------------ on the ego's way
    ("ahead in the ego lane", ("is ahead| in the ego lane", "is ahead| in this lane"),
     "auf der eigenen Spur vorausfährt", "自車線の前方にいる"),
    ("slower ahead", ("is slower ahead",), "voraus langsamer fährt", "前方を低速で走っている"),
    ("braking ahead", ("is braking ahead", "brakes ahead"), "voraus bremst", "前方で減速している"),
    ("stopped ahead", ("is stopped ahead", "has stopped ahead"), "voraus steht", "前方で停止している"),
    ("standing behind the junction, which must stay clear", ("leaves no room behind the junction",),
     "hinter der Kreuzung keinen Platz lässt", "交差点の先に空きを残していない"),
    ("blocking the ego lane", ("blocks the ego lane", "is blocking the ego lane"),
     "die eigene Spur versperrt", "自車線をふさいでいる"),
    ("narrowing the ego lane from the {side}", ("narrows the ego lane| from the {side}",),
     "die eigene Spur von {side} verengt", "自車線を{side}から狭めている"),
    ("beside the ego lane on the {side}", ("is beside the ego lane| on the {side}",),
     "neben der eigenen Spur {side} ist", "自車線の{side}脇にいる"),
    ("close behind", ("is close behind",), "dicht auffährt", "後方に迫っている"),
    # ------------------------------------------------------------ coming into the ego's way
    ("moving into the ego lane from the {side}", ("is cutting in| from the {side}", "cuts in| from the {side}"),
     "von {side} einschert", "{side}から割り込んでいる"),
    ("swerving into the ego lane", ("swerves into the ego lane",), "in die eigene Spur ausschert",
     "自車線にふらついて入ってくる"),
    ("reversing into the ego lane", ("is reversing into the ego lane",), "rückwärts in die eigene Spur fährt",
     "自車線へ後退してくる"),
    ("pulling out ahead", ("is pulling out ahead",), "voraus anfährt und ausschert", "前方で発進しようとしている"),
    ("opening into the ego lane", ("opens into the ego lane",), "sich in die eigene Spur öffnet", "自車線側に開く"),
    ("crossing ahead", ("is crossing ahead", "crosses ahead"), "voraus kreuzt", "前方を横切っている"),
    ("entering the same lane ahead", ("is entering the same lane ahead",), "voraus in dieselbe Spur einfährt",
     "前方で同じ車線に入ってくる"),
    ("has priority on the lane to be joined", ("has priority on the lane to be joined",),
     "auf der Zielspur Vorrang hat", "合流先の車線で優先である"),
    ("taking turns where the lanes merge", ("takes turns where the lanes merge",),
     "sich im Reißverschluss einordnet", "交互合流の順番である"),
    ("beside the gap in the {side} lane", ("is beside the gap in the {side} lane",),
     "neben der Lücke in der {adj} Spur fährt", "{side}車線の空きの横にいる"),
    ("in the {side} lane where this lane ends", ("is in the {side} lane where this lane ends",),
     "am Ende dieser Spur in der {adj} Spur fährt", "この車線の終わりで{side}車線にいる"),
    # ------------------------------------------------------------ oncoming and crossing traffic
    ("coming the other way", ("is coming the other way", "comes| the other way"), "entgegenkommt", "対向してくる"),
    ("coming the other way in the ego lane",
     ("is coming the other way| in the ego lane", "comes| the other way| in the ego lane"),
     "auf der eigenen Spur entgegenkommt", "自車線を対向してくる"),
    ("coming the other way, has the right of way", ("comes| the other way| with the right of way",),
     "entgegenkommt und Vorfahrt hat", "対向してきて優先である"),
    ("coming the other way, arriving first at the junction", ("comes| the other way| arriving first",),
     "entgegenkommt und zuerst ankommt", "対向してきて先に到着する"),
    ("from the {side}, has the right of way", ("comes| from the {side}| with the right of way",),
     "von {side} kommt und Vorfahrt hat", "{side}から来て優先である"),
    ("from the {side}, arriving first at the junction", ("comes| from the {side}| arriving first",),
     "von {side} kommt und zuerst ankommt", "{side}から来て先に到着する"),
    ("has the right of way", ("has the right of way",), "Vorfahrt hat", "優先である"),
    ("running the red light", ("is running the red light", "runs the red light"), "bei Rot fährt",
     "赤信号を無視している"),
    ("riding against the traffic", ("comes| against the traffic",), "gegen die Fahrtrichtung fährt", "逆走してくる"),
    # ------------------------------------------------------------ people and animals
    ("on the crossing ahead", ("is on the crossing ahead", "walks on the crossing ahead"),
     "auf dem Überweg voraus ist", "前方の横断歩道にいる"),
    ("waiting at the crossing", ("is waiting at the crossing", "waits at the crossing"),
     "am Überweg wartet", "横断歩道で待っている"),
    ("on the road ahead", ("is on the road ahead",),
     "voraus auf der Fahrbahn ist", "前方の路上にいる"),
    ("stepping onto the road from the {side}", ("steps onto the road| from the {side}",),
     "von {side} auf die Fahrbahn tritt", "{side}から車道に出てくる"),
    ("running after a ball", ("runs after a ball",), "einem Ball nachläuft", "ボールを追っている"),
    ("signalling stop", ("is signalling to stop", "signals to stop"), "Halt gebietet", "停止を指示している"),
    ("waving the ego on", ("waves the ego on",), "durchwinkt", "進行を指示している"),
    # ------------------------------------------------------------ special vehicles
    ("approaching from behind with its siren on", ("approaches from behind with its siren on",),
     "sich von hinten mit Sirene nähert", "後方からサイレンを鳴らして接近している"),
    ("crossing with its siren on", ("is crossing with its siren on",), "mit Sirene kreuzt",
     "サイレンを鳴らして横切っている"),
    ("stopped with its stop arm out", ("has its stop arm out",), "die Stopptafel ausgeklappt hat",
     "停止板を出している"),
    ("letting people on or off", ("lets people on or off",), "Fahrgäste ein- und aussteigen lässt",
     "乗客を乗り降りさせている"),
    # ------------------------------------------------------------ lights, signs and rules
    ("red at the stop line ahead", ("is red", "shows red"), "rot ist", "赤である"),
    ("amber at the stop line ahead", ("is amber", "shows amber"), "gelb ist", "黄である"),
    ("green", ("is green", "shows green"), "grün ist", "青である"),
    ("turned green", ("has turned green",), "grün geworden ist", "青になった"),
    ("dark", ("is dark", "is out of order"), "ausgefallen ist", "消灯している"),
    ("flashing red", ("is flashing red",), "rot blinkt", "赤点滅である"),
    ("flashing amber", ("is flashing amber",), "gelb blinkt", "黄点滅である"),
    ("regulates the lane ahead", ("regulates the lane ahead", "stands at the lane ahead"),
     "die Spur voraus regelt", "前方の車線を規制している"),
    ("gives priority to the right", ("gives priority to the right",), "rechts vor links verlangt",
     "右方優先である"),
    ("goes in order of arrival", ("goes in order of arrival",), "nach Ankunft befahren wird", "到着順に進む"),
    ("gives priority to its traffic", ("gives priority to its traffic",), "dem Verkehr darin Vorfahrt gibt",
     "環道側が優先である"),
    ("closed ahead", ("is closed ahead",), "voraus gesperrt ist", "前方で閉じている"),
    # ------------------------------------------------------------ road, route and sight
    ("bends to the {side}", ("bends| to the {side}", "goes| to the {side}"),
     "nach {side} führt", "{side}に曲がっている"),
    ("lower ahead", ("is lower ahead", "drops ahead"), "voraus niedriger ist", "前方で下がる"),
    ("sets the speed", ("sets the speed here", "allows this speed"), "hier das Tempo vorgibt",
     "ここの速度を定めている"),
    ("clear ahead", ("is clear ahead", "is free ahead"), "voraus frei ist", "前方が空いている"),
    ("ends ahead", ("ends ahead",), "voraus endet", "前方で終わる"),
    ("ahead", ("is ahead", "lies ahead"), "voraus liegt", "前方にある"),
    ("limits the view", ("limits the view",), "die Sicht einschränkt", "視界を制限している"),
    ("hides the way ahead", ("hides the way ahead",), "den Weg voraus verdeckt", "前方を隠している"),
    ("leads straight on", ("leads| straight on", "goes| straight on"), "geradeaus führt", "直進である"),
    ("leads to the {side}", ("leads| to the {side}", "goes| to the {side}"), "nach {side} führt", "{side}に向かう"),
    ("leads to the {side} lane", ("leads| to the {side}| lane",), "auf die {wk} Spur führt", "{side}車線に向かう"),
    ("leads back", ("leads| back",), "zurück führt", "引き返す"),
    ("at the end of the route", ("is at the end of the route",), "am Ende der Route liegt", "経路の終わりにある"),
)  # fmt: skip

SIDES: dict[str, dict[str, dict[str, str]]] = {
    "left": {"en": {"side": "left"}, "de": {"side": "links", "adj": "linken", "wk": "linke"}, "ja": {"side": "左"}},
    "right": {
        "en": {"side": "right"},
        "de": {"side": "rechts", "adj": "rechten", "wk": "rechte"},
        "ja": {"side": "右"},
    },
}


def _expanded() -> dict[str, Relation]:
    """The rows -> every relation by its key, those with a side once to the left and once to the right."""
    out: dict[str, Relation] = {}
    for key, en, de, ja in _ROWS:
        sides = SIDES if "{side}" in key else {"": {"en": {}, "de": {}, "ja": {}}}
        for words in sides.values():
            english = tuple(text.format(**words["en"]) for text in en)
            relation = Relation(key.format(**words["en"]), english, de.format(**words["de"]), ja.format(**words["ja"]))
            out[relation.key] = relation
    return out


RELATIONS: dict[str, Relation] = _expanded()
