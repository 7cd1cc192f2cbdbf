"""Road queries on bundled maps -> queries a second beside plain numpy over all segments, and the time to compile a map.

Both answers to a query are compared in the same run. Run `python -m benchmarks.roads [MAPS ...]`. Times are of this
process's CPU, one core; `first use` is a fresh process with an empty numba cache and then one with a full one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from cordillera.geometry import points_in_polygon
from cordillera.types import Bool, Float, Int
from cordillera.world.maps import load_map
from cordillera.world.roads import Roads, compile_map
from cordillera.world.roads_areas import drivable_all
from cordillera.world.roads_kernels import nearest_lanes, project_all
from cordillera.world.roads_net import DRIVABLE

MAPS = ("karlsruhe", "town01", "town05")
QUERIES, PLAIN_QUERIES = 20_000, 100
FIRST_USE = """
import time, numpy as np
from cordillera.world.maps import load_map
from cordillera.world.roads import compile_map
begin = time.process_time()
road_map = load_map("built:four_way")
begin = time.process_time()
roads = compile_map(road_map)
position = roads.nearest(-30.0, -1.75, 0.0)
roads.nearest_many(np.zeros((1, 2)), np.zeros(1)), roads.drivable(np.zeros((1, 2))), roads.project(0, 1.0, 1.0)
roads.curvature(0, 1.0), roads.speed_limit(0, 1.0), roads.width(0, 1.0), roads.inside_lanes(0.0, 0.0)
roads.box_drivable(0.0, 0.0, 0.0, 4.0, 2.0), roads.wander(position, 100.0, 0)
print(time.process_time() - begin)
"""


def places(roads: Roads, count: int) -> tuple[Float, Float]:
    """Random places about the road: points (N, 2) within 5 m of lane centres, headings (N,) within 0.5 rad."""
    rng = np.random.default_rng(0)
    lanes = rng.choice(np.flatnonzero(roads.net.lanes["routable"]), count)
    found = [roads.pose(lane, rng.uniform(0.0, roads.length(lane))) for lane in lanes.tolist()]
    xy = np.array([xyz[:2] for xyz, _ in found]) + rng.uniform(-3.5, 3.5, (count, 2))
    return xy, np.array([yaw for _, yaw in found]) + rng.uniform(-0.5, 0.5, count)


def plain_nearest(roads: Roads, xy: Float) -> Int:
    """The lane of the centre line that is nearest, over all segments at once; headings left out."""
    points = roads.net.points
    rows = np.flatnonzero((points["lane"] >= 0) & (roads.net.lanes["routable"][points["lane"]] == 1))
    start = np.stack([points["x"][rows], points["y"][rows]], axis=1)
    step = np.stack([points["x"][rows + 1], points["y"][rows + 1]], axis=1) - start
    norm2 = np.maximum((step**2).sum(axis=1), 1e-18)
    found = np.empty(len(xy), dtype=np.int64)
    for k, point in enumerate(xy):
        t = np.clip(((point - start) * step).sum(axis=1) / norm2, 0.0, 1.0)
        found[k] = points["lane"][rows[(((start + t[:, None] * step - point) ** 2).sum(axis=1)).argmin()]]
    return found


def plain_project(roads: Roads, lanes: Int, xy: Float) -> Float:
    """Arc lengths of the nearest points on the lanes' segments."""
    out = np.empty(len(xy))
    for k, (lane, point) in enumerate(zip(lanes, xy, strict=True)):
        points = roads.net.points[roads.net.pt_ptr[lane] : roads.net.pt_ptr[lane + 1]]
        line = np.stack([points["x"], points["y"]], axis=1)
        step = np.diff(line, axis=0)
        t = np.clip(((point - line[:-1]) * step).sum(axis=1) / np.maximum((step**2).sum(axis=1), 1e-18), 0.0, 1.0)
        best = ((line[:-1] + t[:, None] * step - point) ** 2).sum(axis=1).argmin()
        out[k] = points["s"][best] + t[best] * (points["s"][best + 1] - points["s"][best])
    return out


def plain_drivable(roads: Roads, xy: Float) -> Bool:
    """Whether any vehicle lane's outline holds the points; all points at once, outline by outline."""
    inside = np.zeros(len(xy), dtype=bool)
    for lane in roads.map.lanes:
        if lane.kind in DRIVABLE:
            inside |= points_in_polygon(xy, np.concatenate([lane.left_xyz, lane.right_xyz[::-1]])[:, :2])
    return inside


def rate(call: Callable[[], object], count: int) -> float:
    """A call that answers `count` queries -> queries a second, the median of five."""
    call()
    times = []
    for _ in range(5):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return count / sorted(times)[2]


def measure(name: str, table: Table) -> None:
    """Add the rows of one map."""
    road_map = load_map(name)
    compile_map(road_map)
    times = []
    for _ in range(3):
        begin = time.process_time()
        compile_map(replace(road_map))  # another object, so compiled again
        times.append(time.process_time() - begin)
    roads = compile_map(road_map)
    net, (xy, yaw) = roads.net, places(roads, QUERIES)
    few = xy[:PLAIN_QUERIES]
    xyz = np.column_stack([xy, np.full(len(xy), np.nan)])
    lane, _ = nearest_lanes(net, xyz, yaw, False, 10.0)
    lane[lane < 0] = 0
    size = f"{len(road_map.lanes)} lanes, {len(net.points)} points"
    table.add_row(name, "compile", f"{min(times):.2f} s", "", "", size)
    agree = (
        f"{(plain_nearest(roads, few) == lane[:PLAIN_QUERIES]).mean():.0%} the same lane (areas count, not only lines)"
    )
    ours = rate(lambda: nearest_lanes(net, xyz, yaw, True, 10.0), QUERIES)
    plain = rate(lambda: plain_nearest(roads, few), PLAIN_QUERIES)
    table.add_row("", "nearest lane", f"{ours:,.0f}/s", f"{plain:,.0f}/s", f"{ours / plain:,.0f} x", agree)
    gap = np.abs(plain_project(roads, lane[: len(few)], few) - project_all(net, lane, xy)[: len(few), 0])
    ours = rate(lambda: project_all(net, lane, xy), QUERIES)
    plain = rate(lambda: plain_project(roads, lane[: len(few)], few), PLAIN_QUERIES)
    agree = f"s differs by {np.median(gap):.4f} m in the median"
    table.add_row("", "project", f"{ours:,.0f}/s", f"{plain:,.0f}/s", f"{ours / plain:,.0f} x", agree)
    same = (plain_drivable(roads, xy[:2000]) == drivable_all(net, xy)[:2000]).mean()
    ours = rate(lambda: drivable_all(net, xy), QUERIES)
    plain = rate(lambda: plain_drivable(roads, few), PLAIN_QUERIES)
    agree = f"{same:.2%} the same (5 cm at borders and gaps in junctions apart)"
    table.add_row("", "drivable", f"{ours:,.0f}/s", f"{plain:,.0f}/s", f"{ours / plain:,.0f} x", agree)


def first_use() -> tuple[float, float]:
    """CPU seconds for the first of all queries: with numba compiling, and with its cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        cold, warm = (
            float(
                subprocess.run(
                    [sys.executable, "-c", FIRST_USE], env=environment, check=True, stdout=subprocess.PIPE
                ).stdout
            )
            for _ in range(2)
        )
    return cold, warm


def main() -> None:
    table = Table("map", "query", "kernel", "plain numpy", "ratio", "agreement")
    for name in sys.argv[1:] or MAPS:
        measure(name, table)
    console = Console()
    console.print(table)
    cold, warm = first_use()
    console.print(f"first use: {cold:.1f} s CPU with an empty numba cache, {warm:.2f} s afterwards")


if __name__ == "__main__":
    main()
