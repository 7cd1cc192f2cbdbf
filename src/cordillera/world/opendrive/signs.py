"""National sign codes -> what they demand: country, type, subtype, name and value in, `SignalKind` and m/s out.

Germany: StVO annexes 1 to 3, whose numbers OpenDRIVE's own catalogue and most exporters use; lights are 1000001 and on
(OpenDRIVE 1.4, signals). Sweden: Vägmärkesförordningen 2007:90; United States: MUTCD 2023; Japan: sign order of 1960.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cordillera.types import SignalKind

KMH, MPH = 1 / 3.6, 0.44704
UNIT_MPS = {"km/h": KMH, "kmh": KMH, "kph": KMH, "m/s": 1.0, "mps": 1.0, "mph": MPH}
PEDESTRIAN_LIGHTS = {"1000002", "1000007"}
OTHER_LIGHTS = {"1000013", "1000014", "1000003", "1000004", "1000005", "1000006"}  # bicycles, trams, markings
BY_CODE = {
    "germany": {
        "205": SignalKind.GIVE_WAY, "206": SignalKind.STOP, "274": SignalKind.SPEED_LIMIT,
        "274.1": SignalKind.SPEED_LIMIT,
        "301": SignalKind.PRIORITY, "306": SignalKind.PRIORITY, "350": SignalKind.CROSSING, "293": SignalKind.CROSSING,
    },
    "SE": {
        "B1": SignalKind.GIVE_WAY, "B2": SignalKind.STOP, "B3": SignalKind.CROSSING, "B4": SignalKind.PRIORITY,
        "C31": SignalKind.SPEED_LIMIT,
    },
    "US": {
        "R1-1": SignalKind.STOP, "R1-2": SignalKind.GIVE_WAY, "R2-1": SignalKind.SPEED_LIMIT,
        "W11-2": SignalKind.CROSSING, "W11A-2": SignalKind.CROSSING,
    },
    "JP": {
        "330": SignalKind.STOP, "329": SignalKind.GIVE_WAY, "323": SignalKind.SPEED_LIMIT, "407": SignalKind.CROSSING,
    },
}  # fmt: skip
BY_NAME = (
    (r"pedestrian.?light|walk.?light", SignalKind.PEDESTRIAN_LIGHT),
    (r"traffic.?light|signal.?\d?light|semaphore|ampel", SignalKind.TRAFFIC_LIGHT),
    (r"\bstop.?sign|sign.?stop|^stop$", SignalKind.STOP),
    (r"yield|give.?way|vorfahrt.?gew", SignalKind.GIVE_WAY),
    (r"speed.?limit|^speed.?\d|max.?speed", SignalKind.SPEED_LIMIT),
    (r"priority.?road|vorfahrtstra", SignalKind.PRIORITY),
    (r"pedestrian.?crossing", SignalKind.CROSSING),
)
COUNTRIES = {
    "DEU": "DE", "GERMANY": "DE", "USA": "US", "SWE": "SE", "SWEDEN": "SE", "JPN": "JP", "JAPAN": "JP", "CHN": "CN",
    "GBR": "GB", "UK": "GB", "FRA": "FR", "AUT": "AT", "CHE": "CH", "ITA": "IT", "ESP": "ES", "KOR": "KR", "NLD": "NL",
    "POL": "PL", "CAN": "CA", "AUS": "AU", "IND": "IN", "SGP": "SG",
}  # fmt: skip


@dataclass(frozen=True)
class Sign:
    """What a sign means: kind, its code with the country, the speed in m/s (NaN for none), and whether it is paint."""

    kind: SignalKind
    code: str
    value_mps: float
    painted: str = ""  # "stop line" or "crossing" where the "signal" is one on the road


def country_code(text: str) -> str:
    """A country as written -> its ISO code of two letters, "" where it is none."""
    name = text.strip().upper()
    name = COUNTRIES.get(name, name)
    return name if re.fullmatch(r"[A-Z]{2}", name) else ""


def read_sign(
    country: str, code: str, subtype: str, name: str, value: float, unit: str, dynamic: bool
) -> tuple[Sign, str]:
    """The attributes of a <signal> -> its meaning, and which unit was assumed for its speed ("" for none)."""
    nation = country_code(country)
    code, subtype = code.strip(), "" if subtype.strip().lower() in {"-1", "none", ""} else subtype.strip()
    label = f"{nation or country.strip()}:{code}" + (f"-{subtype}" if subtype else "")
    if painted := _painted(code, name, nation):
        return Sign(SignalKind.OTHER, label, float("nan"), painted), ""
    kind = _kind(nation, code, subtype, name, dynamic)
    if kind is not SignalKind.SPEED_LIMIT:
        return Sign(kind, label, float("nan")), ""
    speed, assumed = _speed(nation, code, subtype, name, value, unit)
    return Sign(kind, label, speed), assumed


def _painted(code: str, name: str, nation: str) -> str:
    text = name.lower()
    if re.search(r"cross.?walk|zebra", text) and "sign" not in text.replace("sgrm", ""):
        return "crossing"
    if nation in {"", "DE"} and code in {"294", "341"}:
        return "stop line"
    return "stop line" if re.search(r"stop.?line|holding.?line|wait.?line", text) else ""


def _kind(nation: str, code: str, subtype: str, name: str, dynamic: bool) -> SignalKind:
    if re.fullmatch(r"10000\d\d", code):
        if code in OTHER_LIGHTS:
            return SignalKind.OTHER
        return SignalKind.PEDESTRIAN_LIGHT if code in PEDESTRIAN_LIGHTS else SignalKind.TRAFFIC_LIGHT
    if nation == "SE":
        series = code.upper() if re.search(r"\d", code) else code.upper() + subtype
        table, key = BY_CODE["SE"], re.split(r"[-.]", series)[0]
    else:
        table, key = BY_CODE.get(nation, BY_CODE["germany"]), code.upper()
    if kind := table.get(key) or table.get(f"{key}-{subtype}") or table.get(key.split("-")[0]):
        return kind
    text = f"{name} {code}".lower() if re.search("[a-z]", code.lower()) else name.lower()
    for pattern, kind in BY_NAME:
        if re.search(pattern, text.strip()):
            return kind
    return SignalKind.TRAFFIC_LIGHT if dynamic and re.search("light|signal", text) else SignalKind.OTHER


def _speed(nation: str, code: str, subtype: str, name: str, value: float, unit: str) -> tuple[float, str]:
    """A limit's value -> m/s, and the unit taken where none stands: km/h, in the US and Great Britain mph."""
    if value <= 0.0 or value != value:
        value = _speed_in_text(nation, code, subtype, name)
    elif nation == "SE" and value <= 13.0 and not unit:
        value *= 10.0  # C31-5 is 50 km/h
    if unit.strip().lower() in UNIT_MPS:
        return value * UNIT_MPS[unit.strip().lower()], ""
    assumed = "mph" if nation in {"US", "GB"} else "km/h"
    return value * UNIT_MPS[assumed], assumed if value == value else ""


def _speed_in_text(nation: str, code: str, subtype: str, name: str) -> float:
    """The speed that a subtype (274-56 was 60 km/h until 2017, 274-60 is since) or a name spells; NaN for none."""
    if re.fullmatch(r"\d{1,3}", subtype):
        number = int(subtype)
        old = nation in {"", "DE"} and 51 <= number <= 63 and number % 10
        return float((number - 50) * 10) if old else float(number)
    if code == "274.1":
        return 30.0
    found = re.search(r"(\d{1,3})", name)
    return float(found[1]) if found else float("nan")
