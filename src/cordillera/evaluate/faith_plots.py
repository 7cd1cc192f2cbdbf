"""Figures, doses and plans -> small drawings (SVG) for the page."""

from __future__ import annotations

import math

from cordillera.evaluate.faith_report import Telling
from cordillera.evaluate.faithful_stats import DoseRow
from cordillera.evaluate.suite_stats import Estimate

WIDE, HIGH, LEFT, BELOW = 360.0, 190.0, 44.0, 34.0
UNITS = {"distance": "metres ahead", "speed": "speed of the vehicle ahead, m/s", "colour": "what the light shows"}
COLOURS = {0.0: "green", 1.0: "amber", 2.0: "red"}


def rate_plot(estimate: Estimate) -> str:
    """An estimate and its interval on a line from 0 to 1; beyond 1 it is drawn at the end. Nothing for no value."""
    if math.isnan(estimate.value):
        return ""
    low, high, value = (min(max(v, 0.0), 1.0) for v in (estimate.low, estimate.high, estimate.value))
    return (
        '<svg class="rate" viewBox="0 0 1000 22" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" x="0" y="7" width="1000" height="8"/>'
        f'<rect class="span" x="{1000 * low:.0f}" y="3" width="{max(1000 * (high - low), 4.0):.0f}" height="16"/>'
        f'<rect class="dot" x="{max(min(1000 * value - 4.0, 992.0), 0.0):.0f}" y="0" width="8" height="22"/></svg>'
    )


def dose_plot(row: DoseRow) -> str:
    """Doses of one axis -> a line for each: strength of the cause across, what it does to the plan's speed up."""
    xs = [x for curve in row.curves for x, _ in curve]
    low, high = min(xs), max(max(xs), min(xs) + 1e-6)
    top = max(max(y for curve in row.curves for _, y in curve), 1.0)

    def at(x: float, y: float) -> tuple[float, float]:
        along = (x - low) / (high - low)
        return LEFT + along * (WIDE - LEFT - 10.0), HIGH - BELOW - y / top * (HIGH - BELOW - 10.0)

    lines = "".join(
        '<polyline points="' + " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in sorted(curve)) + '"/>'
        for curve in row.curves
    )
    ticks = sorted(COLOURS) if row.axis == "colour" else [low, 0.5 * (low + high), high]
    marks = "".join(
        f'<text x="{at(x, 0.0)[0]:.0f}" y="{HIGH - BELOW + 16:.0f}" text-anchor="middle">'
        f"{COLOURS[x] if row.axis == 'colour' else f'{x:.0f}'}</text>"
        for x in ticks
    )
    levels = "".join(
        f'<line class="grid" x1="{LEFT:.0f}" x2="{WIDE - 10:.0f}" y1="{at(low, y)[1]:.0f}" y2="{at(low, y)[1]:.0f}"/>'
        f'<text x="{LEFT - 6:.0f}" y="{at(low, y)[1] + 4:.0f}" text-anchor="end">{y:.1f}</text>'
        for y in (0.0, 0.5 * top, top)
    )
    return (
        f'<svg class="plot" viewBox="0 0 {WIDE:.0f} {HIGH:.0f}" role="img" aria-label="response of the plan">'
        f'{levels}{marks}{lines}<text x="{0.5 * (WIDE + LEFT):.0f}" y="{HIGH - 3:.0f}" text-anchor="middle">'
        f'{UNITS[row.axis]}</text><text transform="translate(11 {0.5 * (HIGH - BELOW):.0f}) rotate(-90)" '
        'text-anchor="middle">change of speed, m/s</text></svg>'
    )


def plan_plot(case: Telling, change: str) -> str:
    """The plans of both worlds at the event, seen from above, the car's nose to the right; nothing without the second.

    Points are 0.4 s apart, so their distance is the speed.
    """
    plans = dict(case.measured.plans)
    first = plans.get("as it was", ())
    second = next((points for name, points in plans.items() if case.target and name.endswith(f" {case.target}")), ())
    if not first or not second:
        return ""
    points = [(0.0, 0.0), *first, *second]
    far = max(max(x for x, _ in points), 10.0)
    left, right = max(*(y for _, y in points), 1.0), min(*(y for _, y in points), -1.0)
    scale = min(330.0 / far, 120.0 / (left - right))
    middle, high = 10.0 + left * scale, 20.0 + (left - right) * scale

    def line(name: str, plan: tuple[tuple[float, float], ...], radius: float) -> str:
        drawn = [(14.0 + x * scale, middle - y * scale) for x, y in ((0.0, 0.0), *plan)]
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in drawn[1:])
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        return f'<g class="{name}"><polyline points="{path}"/>{dots}</g>'

    return (
        '<div class="plans"><h4>Both plans, a dot every 0.4 s</h4><svg class="plot" '
        f'viewBox="0 0 360 {high:.0f}" role="img" '
        'aria-label="both plans from above">'
        f'<rect class="car" x="2" y="{middle - 4:.0f}" width="16" height="8" rx="2"/>'
        f'{line("changed", second, 3.4)}{line("was", first, 2.0)}</svg><p class="soft"><i class="was"></i> as it was '
        f'<i class="changed"></i> {change.lower()}; {far:.0f} m ahead</p></div>'
    )
