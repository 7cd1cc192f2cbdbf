"""Short OpenDRIVE texts for tests: roads, junctions and files from a few words."""

from __future__ import annotations

from collections.abc import Sequence

from cordillera.types import RoadMap
from cordillera.world.opendrive import parse_opendrive

LINE = '<geometry s="0" x="0" y="0" hdg="0" length="100"><line/></geometry>'
MARK = '<roadMark sOffset="0" type="broken" color="white" width="0.12"/>'


def plan(length: float, x: float = 0.0, y: float = 0.0, hdg: float = 0.0, shape: str = "<line/>") -> str:
    return f'<geometry s="0" x="{x}" y="{y}" hdg="{hdg}" length="{length}">{shape}</geometry>'


def lane(number: int, kind: str = "driving", width: float | str = 3.5, inside: str = "", more: str = "") -> str:
    """One <lane>; `width` is a number or the text of its width or border records; `inside` goes into <link>."""
    records = f'<width sOffset="0" a="{width}" b="0" c="0" d="0"/>' if not isinstance(width, str) else width
    records = "" if number == 0 else records
    return f'<lane id="{number}" type="{kind}" level="false"><link>{inside}</link>{records}{more}</lane>'


def section(lanes: Sequence[str], s: float = 0.0, attributes: str = "") -> str:
    """One <laneSection> from the text of its lanes, sorted to their sides by their numbers."""
    sides = {"left": "", "center": "", "right": ""}
    for text in lanes:
        number = int(text.split('id="')[1].split('"')[0])
        sides["left" if number > 0 else "right" if number < 0 else "center"] += text
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in sides.items() if text)
    return f'<laneSection s="{s}" {attributes}>{inner}</laneSection>'


TWO_WAY = section([lane(1), lane(0, "none", more=MARK), lane(-1)])


def road(
    number: int | str = 1, sections: str = TWO_WAY, geometry: str = LINE, length: float = 100.0, links: str = "",
    junction: str = "-1", more: str = "", before: str = "", offset: str = "", attributes: str = "",
) -> str:  # fmt: skip
    """One <road>; `before` stands ahead of <lanes> (types, elevation), `more` behind it (objects, signals)."""
    return (
        f'<road id="{number}" length="{length}" junction="{junction}" {attributes}><link>{links}</link>'
        f"<planView>{geometry}</planView>{before}<lanes>{offset}{sections}</lanes>{more}</road>"
    )


def xodr(*parts: str, header: str = '<header revMajor="1" revMinor="6"/>', root: str = "<OpenDRIVE>") -> str:
    return f'<?xml version="1.0"?>{root}{header}{"".join(parts)}</OpenDRIVE>'


def read(*parts: str, header: str = '<header revMajor="1" revMinor="6"/>') -> RoadMap:
    return parse_opendrive(xodr(*parts, header=header), "test", "test.xodr")


def by_id(road_map: RoadMap) -> dict[str, int]:
    return {found.id: index for index, found in enumerate(road_map.lanes)}


TURNS = (("1", "10", "start", "-1"), ("2", "11", "end", "1"))  # from road, through road, by its end, lane
CROSS_LINKS = "".join(
    f'<connection id="{n}" incomingRoad="{incoming}" connectingRoad="{through}" contactPoint="{end}">'
    f'<laneLink from="{number}" to="{number}"/></connection>'
    for n, (incoming, through, end, number) in enumerate(TURNS)
)


def junction_file(more_roads: str = "", on_1: str = "", on_2: str = "", extra: str = "", on_10: str = "") -> str:
    """Road 1 runs east to x = 100, road 2 goes on from x = 120; roads 10 (eastbound) and 11 (westbound) join them."""
    one_way = section([lane(0, "none"), lane(-1, inside='<predecessor id="-1"/><successor id="-1"/>')])
    back = section([lane(1, inside='<predecessor id="1"/><successor id="1"/>'), lane(0, "none")])
    across = (
        '<predecessor elementType="road" elementId="1" contactPoint="end"/>'
        '<successor elementType="road" elementId="2" contactPoint="start"/>'
    )
    to_junction = '<{} elementType="junction" elementId="7"/>'
    return xodr(
        road(1, links=to_junction.format("successor"), more=on_1),
        road(2, geometry=plan(100, x=120), links=to_junction.format("predecessor"), more=on_2),
        road(10, one_way, plan(20, x=100), 20.0, across, "7", on_10),
        road(11, back, plan(20, x=100), 20.0, across, "7"),
        more_roads,
        f'<junction id="7" name="j">{CROSS_LINKS}</junction>',
        extra,
    )
