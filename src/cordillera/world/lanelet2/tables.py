"""Tags of Lanelet2 -> what they mean: lane kinds, who may pass, speeds, marks, signs. Tables and small functions.

Sources: the tagging guides of the Lanelet2 project (LaneletAndAreaTagging, LinestringTagging, RegulatoryElementTagging)
and, for the extensions, those of Autoware's map format.
"""

from __future__ import annotations

import math
import re

from cordillera.types import LaneKind, SignalKind

YES, NO = {"yes", "true", "1"}, {"no", "false", "0"}

# Subtype of a lanelet -> kind of lane; crosswalks become crossings.
KINDS = {
    "": LaneKind.DRIVING,
    "road": LaneKind.DRIVING,
    "highway": LaneKind.DRIVING,
    "play_street": LaneKind.DRIVING,
    "exit": LaneKind.DRIVING,
    "bus_lane": LaneKind.BUS,
    "bicycle_lane": LaneKind.BIKING,
    "emergency_lane": LaneKind.SHOULDER,
    "road_shoulder": LaneKind.SHOULDER,
    "walkway": LaneKind.SIDEWALK,
    "shared_walkway": LaneKind.SIDEWALK,
    "pedestrian_lane": LaneKind.SIDEWALK,
    "stairs": LaneKind.SIDEWALK,
    "crosswalk": LaneKind.SIDEWALK,
    "parking": LaneKind.PARKING,
    "rail": LaneKind.RAIL,
}

# Subtype -> who may pass where no `participant` tag says otherwise.
PARTICIPANTS = {
    "": {"vehicle"},
    "road": {"vehicle", "bicycle"},
    "highway": {"vehicle"},
    "play_street": {"vehicle", "bicycle", "pedestrian"},
    "exit": {"vehicle", "bicycle", "pedestrian"},
    "bus_lane": {"vehicle:bus", "vehicle:emergency", "vehicle:taxi"},
    "bicycle_lane": {"bicycle"},
    "emergency_lane": {"vehicle:emergency"},
    "road_shoulder": {"vehicle:emergency"},
    "walkway": {"pedestrian"},
    "shared_walkway": {"pedestrian", "bicycle"},
    "pedestrian_lane": {"pedestrian"},
    "stairs": {"pedestrian"},
    "crosswalk": {"pedestrian"},
    "rail": {"rail"},
}

KMH = 1.0 / 3.6
UNITS_MPS = {"": KMH, "kmh": KMH, "km/h": KMH, "kph": KMH, "mph": 0.44704, "m/s": 1.0, "mps": 1.0, "ms": 1.0}

# (subtype, location) -> the usual limit in km/h: the German defaults, which are Lanelet2's own.
USUAL_KMH = {
    ("road", "nonurban"): 100.0,
    ("highway", "urban"): 130.0,
    ("highway", "nonurban"): 130.0,
    ("play_street", "urban"): 7.0,
    ("play_street", "nonurban"): 7.0,
    ("bicycle_lane", "urban"): 20.0,
    ("bicycle_lane", "nonurban"): 20.0,
}
DEFAULT_KMH = 50.0
WALKING_KMH = 5.0

# Subtype of a painted line -> mark, read from the line's left to its right.
STROKES = {
    "solid": "solid",
    "dashed": "broken",
    "solid_solid": "solid solid",
    "double": "solid solid",
    "dashed_solid": "broken solid",
    "solid_dashed": "solid broken",
    "dashed_dashed": "broken broken",
}
# Type of a line -> (mark where the subtype names none, width in m)
LINES = {
    "line_thin": ("solid", 0.12),
    "line_thick": ("solid", 0.25),
    "bike_marking": ("broken", 0.12),
    "pedestrian_marking": ("broken", 0.12),
    "keepout": ("solid", 0.12),
    "zig-zag": ("solid", 0.12),
    "curbstone": ("kerb", 0.15),
    "road_border": ("edge", 0.10),
}
COLORS = {"white", "yellow", "blue", "red", "orange", "green"}

# Type of a line that stands up -> (thickness, height) in m
BARRIERS = {
    "wall": (0.25, 2.0),
    "fence": (0.06, 1.2),
    "guard_rail": (0.20, 0.75),
    "jersey_barrier": (0.60, 0.81),
}

# Subtype of an area -> (kind of object, height in m)
AREAS = {
    "building": ("building", 8.0),
    "vegetation": ("vegetation", 0.0),
    "parking": ("parking", 0.0),
    "parking_space": ("parking", 0.0),
    "parking_lot": ("parking", 0.0),
    "freespace": ("parking", 0.0),
    "traffic_island": ("island", 0.12),
    "walkway": ("sidewalk", 0.12),
    "keepout": ("keepout", 0.0),
    "hatched_road_markings": ("keepout", 0.0),
}

LIGHTS_FOR_PEDESTRIANS = {"red_green", "pedestrian"}

SIGNS = (
    (re.compile(r"stop|de206$|usr1-1$|jp330"), SignalKind.STOP),
    (re.compile(r"give_way|yield|de205$|usr1-2$|jp329"), SignalKind.GIVE_WAY),
    (re.compile(r"priority|right_of_way|de301$|de306$"), SignalKind.PRIORITY),
    (re.compile(r"crosswalk|crossing|de350"), SignalKind.CROSSING),
    (re.compile(r"de274|max_?speed|speed_limit|usr2-1|jp323"), SignalKind.SPEED_LIMIT),
)


def truth(text: str | None) -> bool | None:
    """A tag's text -> yes, no, or None where it is neither."""
    text = (text or "").lower()
    return True if text in YES else False if text in NO else None


def speed_of(text: str | None) -> float:
    """A speed as in "50", "50 km/h", "30mph", "13.9 m/s" -> m/s (bare numbers are km/h), NaN where it is none."""
    found = re.fullmatch(r"([\d.]+)\s*([a-z/]*)", (text or "").strip().lower())
    if not found or found[2] not in UNITS_MPS:
        return math.nan
    try:
        return float(found[1]) * UNITS_MPS[found[2]]
    except ValueError:
        return math.nan


def participants_of(tags: dict[str, str]) -> frozenset[str]:
    """A lanelet's tags -> who may pass. Any `participant` tag replaces the defaults of the subtype."""
    named = {key.partition(":")[2]: value for key, value in tags.items() if key.startswith("participant")}
    if named:
        everyone = {"vehicle", "bicycle", "pedestrian"} if truth(named.get("")) else set()
        return frozenset(everyone | {who for who, value in named.items() if who and truth(value)})
    return frozenset(PARTICIPANTS.get(tags.get("subtype", ""), ()))


def against_of(tags: dict[str, str], participants: frozenset[str]) -> frozenset[str]:
    """A lanelet's tags and who may pass -> who of them may also pass against its direction."""
    whole = truth(tags.get("one_way"))
    if whole is not None:
        return frozenset() if whole else participants
    allowed = {
        who for who in participants if truth(tags.get(f"one_way:{who}", tags.get(f"one_way:{who[:7]}"))) is False
    }
    return frozenset(allowed | (participants & {"pedestrian"}))


def kind_of(subtype: str, participants: frozenset[str]) -> LaneKind:
    """Subtype of a lanelet and who may pass -> the kind of lane; those who pass decide where the two differ."""
    kind = KINDS.get(subtype, LaneKind.OTHER)
    if "vehicle" in participants or "vehicle:car" in participants:
        return kind if kind in (LaneKind.SHOULDER, LaneKind.BUS, LaneKind.PARKING) else LaneKind.DRIVING
    if kind not in (LaneKind.DRIVING, LaneKind.OTHER):
        return kind
    for who, instead in (
        ("vehicle:bus", LaneKind.BUS),
        ("bicycle", LaneKind.BIKING),
        ("pedestrian", LaneKind.SIDEWALK),
    ):
        if who in participants:
            return instead
    return LaneKind.RESTRICTED if kind is LaneKind.DRIVING else LaneKind.OTHER


def usual_limit(tags: dict[str, str], kind: LaneKind) -> float:
    """A lanelet's tags -> the limit that holds by its kind and place in m/s."""
    if kind is LaneKind.SIDEWALK:
        return WALKING_KMH * KMH
    return USUAL_KMH.get((tags.get("subtype", ""), tags.get("location", "urban")), DEFAULT_KMH) * KMH


def sign_kind(code: str) -> SignalKind:
    """A sign's code -> what it demands."""
    return next((kind for pattern, kind in SIGNS if pattern.search(code.lower())), SignalKind.OTHER)


def sign_speed(code: str, tags: dict[str, str]) -> float:
    """A limit's code and tags -> m/s, NaN where neither names a number: "de274-50", "50 km/h", zone 30 "de274.1"."""
    for name in ("speed_limit", "max_speed", "limit"):
        if not math.isnan(value := speed_of(tags.get(name))):
            return value
    if not math.isnan(value := speed_of(code)):
        return value
    if re.fullmatch(r"de274[._]1", code.lower()):
        return 30.0 * KMH
    found = re.fullmatch(r"(?:de274(?:[._]1)?|.*speed_?(?:limit)?)[-_ ](\d+).*", code.lower())
    return float(found[1]) * KMH if found else math.nan


def may_change(tags: dict[str, str], reversed_line: bool) -> tuple[bool, bool]:
    """A border's tags, and whether it runs against the lane -> a car may cross it (to the left, to the right)."""
    if "lane_change" in tags:
        both = truth(tags["lane_change"]) is True
        return both, both
    if "lane_change:left" in tags or "lane_change:right" in tags:
        sides = truth(tags.get("lane_change:left")) is True, truth(tags.get("lane_change:right")) is True
    elif tags.get("type") in ("line_thin", "line_thick"):
        subtype = tags.get("subtype", "")
        sides = subtype in ("dashed", "solid_dashed"), subtype in ("dashed", "dashed_solid")
    else:
        sides = False, False
    return (sides[1], sides[0]) if reversed_line else sides
