"""A suite's report and films in; one self-contained page out, which works offline and from a folder."""

from __future__ import annotations

import base64
import hashlib
import html
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cordillera.evaluate.report import GroupRow, PolicyRow, SuiteReport
from cordillera.evaluate.suite import CaseResult
from cordillera.evaluate.suite_stats import Comparison, Estimate

HERE = Path(__file__).parent
EMBED_BYTES = 40_000_000  # of all films together; those beyond it are played from beside the page
ROWS = 2000  # of the table of failures
PIPS = 12  # up to so many drives are shown one by one

NONE = "-"  # where there is nothing to show

METHOD = (
    "A drive passes or fails as a whole; a program that crashes fails. Every policy drove the same situations: family, "
    "region and seed.",
    "A pass rate is the mean over families (and regions), each of which weighs the same. Its 95 % interval says how "
    "far it could move with other seeds: 10,000 resamples of the seeds within each family, each one fewer than there "
    "are, which keeps the interval honest for few seeds. Within one family, or where all drives end alike, it is "
    "Wilson's.",
    "One policy beats another where the interval of the difference, resampled pair by pair, excludes zero and the "
    "exact sign test on the situations that only one of them passed gives p < 0.05.",
    "No plan: the share of steps in which the policy gave nothing that a car can drive, and the driver stopped it. "
    "To decide: the median time of a decision on the machine that is named above.",
)


@dataclass(frozen=True)
class Clip:
    """A film of the end of one drive, and the picture (JPEG) that stands for it until it plays."""

    result: CaseResult
    path: Path
    poster: bytes


def write_report_page(report: SuiteReport, clips: Sequence[Clip], folder: Path) -> Path:
    """Write `folder/report.html` and return its path. Films stand in the page as long as they fit, else beside it."""
    script = (HERE / "report.js").read_text(encoding="utf-8")
    style = (HERE / "report.css").read_text(encoding="utf-8")
    policies = [row.policy for row in report.policies]
    values = {
        "policy": seal(script, style),
        "title": esc(f"Benchmark of {', '.join(policies) if len(policies) < 4 else f'{len(policies)} policies'}"),
        "style": style,
        "script": script,
        "facts": "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in report.provenance),
        "headline": _headline(report.policies),
        "verdicts": _verdicts(report.comparisons),
        "families": _groups("Family", policies, report.families),
        "regions": _groups("Region", policies, report.regions),
        "reasons": _reasons(report),
        "worst": _worst(report, clips, folder),
        "metrics": _metrics(policies, report.metrics),
        "failures": _failures(report),
        "method": '<div class="method">' + "".join(f"<p>{esc(line)}</p>" for line in METHOD) + "</div>",
    }
    template = (HERE / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"@@(\w+)@@", lambda match: values[match[1]], template)
    path, part = folder / "report.html", folder / ".report.html.part"
    part.write_bytes(text.encode("utf-8", "replace"))
    part.replace(path)
    return path


def seal(script: str, style: str) -> str:
    """A page's script and style -> a policy under which only these run and nothing is fetched but films beside it."""
    script_hash, style_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; img-src data:; "
        "media-src data: 'self' file:; base-uri 'none'; form-action 'none'"
    )


def esc(value: object) -> str:
    return html.escape(str(value))


def _table(head: Sequence[tuple[str, str]], rows: Sequence[str], name: str = "") -> str:
    """Columns (title, class) and rows of HTML -> a table."""
    cells = "".join(f'<th scope="col" class="{kind}">{esc(title)}</th>' for title, kind in head)
    mark = f' id="{name}"' if name else ""
    return (
        f'<div class="scroll"><table{mark}><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def percent(value: float) -> str:
    """A share -> "93.3 %"."""
    return NONE if math.isnan(value) else f"{100.0 * value:.1f} %"


def _span(estimate: Estimate, scale: float = 100.0, digits: int = 1) -> str:
    if math.isnan(estimate.low):
        return ""
    return f"{scale * estimate.low:.{digits}f} to {scale * estimate.high:.{digits}f}"


# ------------------------------------------------------------------ the tables


def _headline(rows: Sequence[PolicyRow]) -> str:
    head = [
        ("Policy", ""), ("Passed", "right"), ("95 % interval", "right"), ("0 to 100 %", "plotted"), ("Drives", "right"),
        ("Long-tail", "right"), ("Everyday", "right"), ("Crashed", "right"), ("No plan", "right"),
        ("To decide", "right"),
    ]  # fmt: skip
    body = []
    for row in rows:
        crashed = f'<span class="bad">{row.crashes}</span>' if row.crashes else "0"
        body.append(
            f'<tr><th scope="row">{esc(row.policy)}</th><td class="right big">{percent(row.rate.value)}</td>'
            f'<td class="right">{_span(row.rate)}</td><td>{_plot(row.rate)}</td>'
            f'<td class="right">{row.passed} of {row.rate.count}</td>'
            f'<td class="right">{percent(row.long_tail.value)}<br><small>{_span(row.long_tail)}</small></td>'
            f'<td class="right">{percent(row.everyday.value)}<br><small>{_span(row.everyday)}</small></td>'
            f'<td class="right">{crashed}</td><td class="right">{percent(row.fallback_share)}</td>'
            f'<td class="right">{row.latency_ms:.1f} ms</td></tr>'
        )
    return _table(head, body)


def _plot(estimate: Estimate) -> str:
    """A rate with its interval as a small drawing."""
    low, high = (estimate.value,) * 2 if math.isnan(estimate.low) else (estimate.low, estimate.high)
    left, wide = 1000.0 * low, max(1000.0 * (high - low), 4.0)
    return (
        f'<svg class="rate" viewBox="0 0 1000 22" preserveAspectRatio="none" role="img" '
        f'aria-label="{percent(estimate.value)}, {_span(estimate)}">'
        f'<rect class="track" x="0" y="7" width="1000" height="8"/>'
        f'<rect class="span" x="{left:.0f}" y="3" width="{wide:.0f}" height="16"/>'
        f'<rect class="dot" x="{1000.0 * estimate.value - 4.0:.0f}" y="0" width="8" height="22"/></svg>'
    )


def _verdicts(pairs: Sequence[Comparison]) -> str:
    """Who beats whom, in sentences."""
    lines = []
    for pair in pairs:
        better, worse, sign = (pair.a, pair.b, 1.0) if pair.verdict != "b" else (pair.b, pair.a, -1.0)
        d = pair.difference
        low, high = sorted((sign * d.low, sign * d.high))
        span = "" if math.isnan(d.low) else f" (95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
        facts = (
            f"{100 * sign * d.value:+.1f} points{span}; only {pair.a} passed {pair.only_a} situations, only {pair.b} "
            f"{pair.only_b}; sign test p = {pair.p_value:.2g}"
        )
        said = f"<b>{esc(better)}</b> beats <b>{esc(worse)}</b>" if pair.verdict else (
            f"Between <b>{esc(pair.a)}</b> and <b>{esc(pair.b)}</b> no difference is proved"
        )  # fmt: skip
        lines.append(
            f'<li class="{"won" if pair.verdict else ""}">{said}: <span class="soft">{esc(facts)}.</span></li>'
        )
    return f'<ul class="verdicts">{"".join(lines)}</ul>' if lines else ""


def _groups(title: str, policies: Sequence[str], groups: Sequence[GroupRow]) -> str:
    head = [(title, ""), *((name, "") for name in policies)]
    body = []
    for group in groups:
        tag = f' <span class="tag">{esc(group.note)}</span>' if group.note else ""
        cells = "".join(
            f"<td>{_cell(passed, estimate)}</td>"
            for passed, estimate in zip(group.passed, group.estimates, strict=True)
        )
        body.append(f'<tr><th scope="row">{esc(group.name)}{tag}</th>{cells}</tr>')
    return _table(head, body)


def _cell(passed: int, estimate: Estimate) -> str:
    """How many drives of a group passed: one mark a drive where they are few, else a bar; the interval beside it."""
    count = estimate.count
    if not count:
        return f'<span class="soft">{NONE}</span>'
    if count <= PIPS:
        marks = '<i class="ok"></i>' * passed + "<i></i>" * (count - passed)
        picture = f'<span class="pips" aria-hidden="true">{marks}</span>'
    else:
        picture = (
            '<svg class="part" viewBox="0 0 80 14" aria-hidden="true">'
            '<rect class="track" width="80" height="14" rx="2"/>'
            f'<rect class="dot" width="{80.0 * passed / count:.1f}" height="14" rx="2"/></svg>'
        )
    return f'<span class="cell">{picture} {passed}/{count} <small>{_span(estimate, digits=0)} %</small></span>'


def _reasons(report: SuiteReport) -> str:
    if not report.reasons:
        return "<p>No drive failed.</p>"
    head = [("Reason", ""), *((row.policy, "right") for row in report.policies)]
    body = [
        f'<tr><th scope="row">{esc(reason)}</th>'
        + "".join(f'<td class="right">{count or "·"}</td>' for count in counts)
        + "</tr>"
        for reason, counts in report.reasons
    ]
    return _table(head, body)


def _metrics(policies: Sequence[str], metrics: Sequence[GroupRow]) -> str:
    arrows = {"higher": "higher is better", "lower": "lower is better", "": ""}
    head = [("Mean over families", ""), *((name, "right") for name in policies), ("", "")]
    body = []
    for metric in metrics:
        cells = "".join(_metric_cell(estimate) for estimate in metric.estimates)
        unit = f' <small class="soft">{esc(metric.note)}</small>' if metric.note else ""
        body.append(
            f'<tr><th scope="row">{esc(metric.name)}{unit}</th>{cells}'
            f'<td class="soft">{arrows[metric.better]}</td></tr>'
        )
    return _table(head, body)


def _metric_cell(estimate: Estimate) -> str:
    if not estimate.count:
        return f'<td class="right soft">{NONE}</td>'
    digits = 0 if abs(estimate.value) >= 100.0 else 1 if abs(estimate.value) >= 10.0 else 2
    small = f"<br><small>{_span(estimate, 1.0, digits)}</small>" if not math.isnan(estimate.low) else ""
    return f'<td class="right">{estimate.value:.{digits}f}{small}</td>'


# ------------------------------------------------------------------ the drives


def _worst(report: SuiteReport, clips: Sequence[Clip], folder: Path) -> str:
    """The films, policy by policy."""
    left, parts = EMBED_BYTES, []
    for row in report.policies:
        figures = []
        for clip in (clip for clip in clips if clip.result.case.policy == row.policy):
            size = clip.path.stat().st_size
            if size <= left:
                left -= size
                source = f"data:video/mp4;base64,{base64.b64encode(clip.path.read_bytes()).decode()}"
            else:
                source = quote(Path(os.path.relpath(clip.path, folder)).as_posix())
            poster = f"data:image/jpeg;base64,{base64.b64encode(clip.poster).decode()}"
            figures.append(
                f'<figure class="film"><video controls muted playsinline preload="none" poster="{poster}" '
                f'src="{esc(source)}"></video><figcaption>{_caption(clip.result)}</figcaption></figure>'
            )
        if figures:
            parts.append(f'<h3>{esc(row.policy)}</h3><div class="films">{"".join(figures)}</div>')
    return "".join(parts) or "<p>No film was asked for.</p>"


def _caption(result: CaseResult) -> str:
    end = "passed" if result.success else f'<span class="bad">{esc(result.reason)}</span>'
    where = f"{esc(result.case.family)}, {esc(result.region)}, seed {result.case.seed}"
    return f'{where}: {end} <span class="soft">after {result.driven_s:.1f} s on {esc(_short(result.map))}</span>'


def _short(map_name: str) -> str:
    """A map's name without the figures of a built road, which stand in results.json."""
    return map_name.split(",")[0] if map_name.startswith("built:") else map_name


def _failures(report: SuiteReport) -> str:
    """Every failure with filters; a crash shows its traceback."""
    failures = [result for result in report.results if not result.success]
    if not failures:
        return "<p>None.</p>"
    choices = (
        ("policy", "all policies", [result.case.policy for result in failures]),
        ("family", "all families", [result.case.family for result in failures]),
        ("region", "all regions", [result.region for result in failures]),
        ("reason", "all reasons", [result.reason for result in failures]),
    )
    filters = "".join(
        f'<select name="{name}" aria-label="{name}"><option value="">{every}</option>'
        + "".join(f"<option>{esc(value)}</option>" for value in dict.fromkeys(values))
        + "</select>"
        for name, every, values in choices
    )
    head = [
        ("Policy", ""),
        ("Family", ""),
        ("Region", ""),
        ("Seed", "right"),
        ("Reason", ""),
        ("After", "right"),
        ("Map", ""),
    ]
    body = [_failure(result) for result in failures[:ROWS]]
    more = f"<p>{len(failures) - ROWS} more stand in results.json.</p>" if len(failures) > ROWS else ""
    shown = f'<div class="filters">{filters}<span id="shown" class="soft"></span></div>'
    note = '<p class="soft">Their rollouts are the .npz files in cases/.</p>'
    return f"{shown}{_table(head, body, 'failures')}{more}{note}"


def _failure(result: CaseResult) -> str:
    case = result.case
    data = (("policy", case.policy), ("family", case.family), ("region", result.region), ("reason", result.reason))
    marks = " ".join(f'data-{name}="{esc(value)}"' for name, value in data)
    trace = ""
    if result.traceback:
        trace = f"<details><summary>traceback</summary><pre>{esc(result.traceback)}</pre></details>"
    return (
        f"<tr {marks}><td>{esc(case.policy)}</td><td>{esc(case.family)}</td><td>{esc(result.region)}</td>"
        f'<td class="right">{case.seed}</td><td>{esc(result.reason)}{trace}</td>'
        f'<td class="right">{result.driven_s:.1f} s</td><td class="soft">{esc(_short(result.map))}</td></tr>'
    )
