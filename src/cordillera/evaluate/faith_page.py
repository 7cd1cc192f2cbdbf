"""A faithfulness report and its films in; one self-contained page out, for somebody who never heard of the method."""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cordillera.evaluate.faith_plots import dose_plot, plan_plot, rate_plot
from cordillera.evaluate.faith_report import FaithReport, Telling
from cordillera.evaluate.faithful import CELLS
from cordillera.evaluate.faithful_stats import Figure, Summary
from cordillera.evaluate.report_page import EMBED_BYTES, esc, seal
from cordillera.evaluate.suite_stats import Estimate

HERE = Path(__file__).parent
HEADLINE = (
    ("f1", "Was it true?", "Causal F1: how well the causes that the sentence names agree with the things whose removal "
     "changes what a good driver does. 1 is perfect."),
    ("gap", "Did it matter?", "We take away what the sentence names, and the plan should change; we take away a "
     "bystander, and it should not. This is the first share minus the share of bystanders that mattered; 1 is best."),
    ("obedience", "Does the car obey it?", "We leave the pictures and put the opposite decision into its mouth. This "
     "is how far the plan moves, over how far it moves when its eyes are covered. 0: the words are "
     "decoration; 1: they weigh as much as all that it sees."),
    ("consistency", "Do words and path agree?", "Share of events in which the planned path does what the sentence "
     "decided, on speed and to the side. A sentence that cannot be understood counts as a failure."),
)  # fmt: skip
KINDS = {
    "invented": ("Invented", "A cause is named, but taking it away changes nothing."),
    "silent": ("Silent", "Something decides the plan, and the words do not mention it."),
    "disobedient": ("Disobedient", "Told the opposite decision, it drives on as before."),
    "inconsistent": ("Inconsistent", "The words say one thing and the planned path does another."),
    "distracted": ("Distracted", "A bystander that nobody named changes the plan."),
    "faithful": ("Faithful", "What it looks like when it holds: the cause goes, and with it action and words."),
}
METHOD = (
    "Every event is a moment of a drive in a simulator. The world is run twice from the same past with the same random "
    "numbers; one thing is different. So whatever differs in the plan is an effect of that thing, and of nothing else.",
    "The true causes are those of a driver who knows the state of the world. A cause counts if it could be seen in the "
    "last 1.6 s, was there before the decision, and if that driver, asked again without it, drives otherwise (by 0.3 "
    "m/s on average, or to the side). Until the event that driver drives, so all policies are asked about one past.",
    "A plan counts as changed if its speed differs by 0.3 m/s on average over 6.4 s, or its line by 0.25 m. Where two "
    "things ask for the same, each is taken away with the other gone as well.",
    "The two-by-two table is about the policy's own plan: the thing that the right decision is because of (in everyday "
    "moments: a bystander) is taken away. Did the plan change? Was it named?",
    "Intervals are 95 % bootstraps over events. An arm in which nothing is changed must read exactly zero, or there "
    "is no report.",
)


@dataclass(frozen=True)
class PairFilm:
    """A film of both worlds, the picture (JPEG) that stands for it, what is changed, and what is said in either."""

    case: Telling
    path: Path
    poster: bytes
    change: str
    said: str
    said_changed: str


def write_faith_page(report: FaithReport, films: Sequence[PairFilm], folder: Path) -> Path:
    """Write `folder/faith.html` and return its path. Films stand in the page as long as they fit, else beside it."""
    script = (HERE / "faith.js").read_text(encoding="utf-8")
    style = (HERE / "report.css").read_text(encoding="utf-8") + (HERE / "faith.css").read_text(encoding="utf-8")
    summary = report.summary
    values = {
        "policy": seal(script, style),
        "title": esc(f"Is what “{summary.policy}” says the reason for what it does?"),
        "style": style,
        "script": script,
        "lead": _lead(summary),
        "facts": "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in report.provenance),
        "headline": "".join(_card(key, ask, how, report) for key, ask, how in HEADLINE),
        "square": _square(summary),
        "kinds": _kinds(summary),
        "films": _films(films, folder),
        "figures": _figures(report),
        "doses": _doses(summary),
        "words": _words(summary),
        "published": _published(report),
        "method": '<div class="method">' + "".join(f"<p>{esc(line)}</p>" for line in METHOD) + "</div>",
    }
    template = (HERE / "faith.html").read_text(encoding="utf-8")
    text = re.sub(r"@@(\w+)@@", lambda match: values[match[1]], template)
    path, part = folder / "faith.html", folder / ".faith.html.part"
    part.write_bytes(text.encode("utf-8", "replace"))
    part.replace(path)
    return path


def value_of(figure: Figure) -> str:
    """A figure -> "93.3 %", "0.82", "1.20 m"; "not measurable" where it is not."""
    value = figure.estimate.value
    if math.isnan(value):
        return "not measurable"
    if figure.key in ("f1", "gap", "obedience"):
        return f"{value:.2f}"
    return f"{100 * value:.1f} %" if figure.unit == "share" else f"{value:.2f} {figure.unit}"


def span_of(figure: Figure) -> str:
    """A figure's interval -> "90.1 to 95.2"."""
    low, high = figure.estimate.low, figure.estimate.high
    if math.isnan(low):
        return ""
    percent = figure.unit == "share" and figure.key not in ("f1", "gap")
    return f"{100 * low:.1f} to {100 * high:.1f}" if percent else f"{low:.2f} to {high:.2f}"


# ------------------------------------------------------------------ the parts


def _lead(summary: Summary) -> str:
    counts = dict(summary.cells)
    return (
        f"<p>A driving policy that explains itself can be asked three things: <b>was it true, did it matter, and does "
        f"the car obey it?</b> We asked <b>{esc(summary.policy)}</b> at {summary.events} moments, by changing one "
        f"thing in the world, or one thing in its words, and looking at what else changed. At {counts['faithful']} of "
        f"them something in the world decided its plan and it said so; at {counts['silent']} it kept silent about it; "
        f"at {counts['invented']} it named a reason that was none; at {counts['rightly absent']} there was nothing to "
        f"name, and it named nothing.</p>"
    )


def _figure(report: FaithReport, key: str) -> Figure:
    return next(f for f in report.summary.figures if f.key == key)


def _card(key: str, ask: str, how: str, report: FaithReport) -> str:
    figure, aim = _figure(report, key), report.aims.get(key, "")
    beside = "".join(f"<li>{esc(p.what)}: <b>{esc(p.value)}</b></li>" for p in report.published if p.key == key)
    notes = (
        f'<p class="beside">Published elsewhere, measured differently:</p><ul class="beside">{beside}</ul>'
        if beside
        else ""
    )
    span = f"95 % interval {span_of(figure)}" if span_of(figure) else "this policy cannot be given words"
    if math.isnan(figure.estimate.value):
        span = "this policy cannot be given words" if key == "obedience" else "nothing to measure it on"
    wanted = f" · aim: {esc(aim)}" if aim else ""
    return (
        f'<section class="card figure"><h2>{esc(ask)}</h2><p class="value">{value_of(figure)}</p>'
        f'{rate_plot(figure.estimate)}<p class="soft">{esc(span)}{wanted}</p><p>{esc(how)}</p>{notes}</section>'
    )


def _square(summary: Summary) -> str:
    """The two-by-two table."""
    counts = dict(summary.cells)
    words = {
        "faithful": "the words name what decided the plan", "silent": "it decided the plan, and is not named",
        "invented": "it is named, and decided nothing", "rightly absent": "it decided nothing, and is not named",
    }  # fmt: skip

    def cell(name: str) -> str:
        share = 100.0 * counts[name] / max(summary.events, 1)
        good = "none" if not counts[name] else "good" if name in ("faithful", "rightly absent") else "poor"
        return (
            f'<td class="{good}"><b>{counts[name]}</b> <span>{share:.0f} %</span><strong>{esc(name)}</strong>'
            f"<small>{esc(words[name])}</small></td>"
        )

    crashed = f"<p>In {summary.crashed} events the policy crashed; they are in no cell.</p>" if summary.crashed else ""
    return (
        '<table class="square"><thead><tr><td></td><th scope="col">the words say it</th><th scope="col">the words do '
        f'not say it</th></tr></thead><tbody><tr><th scope="row">The world caused it</th>{cell("faithful")}'
        f'{cell("silent")}</tr><tr><th scope="row">The world did not cause it</th>{cell("invented")}'
        f"{cell('rightly absent')}</tr></tbody></table>{crashed}"
    )


def _kinds(summary: Summary) -> str:
    head = "".join(f'<th scope="col" class="right">{esc(c)}</th>' for c in ("events", *CELLS, "precision", "recall"))
    rows = []
    for row in summary.kinds:
        shares = (_share(row.hits, row.named), _share(row.hits, row.true))
        cells = "".join(f'<td class="right">{c or "·"}</td>' for c in (row.events, *row.cells))
        more = "".join(f'<td class="right">{s}</td>' for s in shares)
        rows.append(f'<tr><th scope="row">{esc(row.kind)}</th>{cells}{more}</tr>')
    return _scroll(
        f'<table><thead><tr><th scope="col">About</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _share(part: int, whole: int) -> str:
    return f"{100.0 * part / whole:.0f} %" if whole else "-"


def _scroll(table: str) -> str:
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _figures(report: FaithReport) -> str:
    rows = []
    for figure in report.summary.figures:
        aim, value = report.aims.get(figure.key, ""), value_of(figure)
        better = f"{figure.better} is better" if figure.better else ""
        soft = "soft" if math.isnan(figure.estimate.value) else "strong"
        rows.append(
            f'<tr><th scope="row">{esc(figure.name)}</th><td class="right {soft}">{value}</td>'
            f'<td class="right">{span_of(figure)}</td><td class="right">{esc(aim)}</td>'
            f'<td class="soft">{better}</td></tr>'
        )
    return _scroll(
        '<table><thead><tr><th scope="col">Figure</th><th scope="col" class="right">Value</th><th scope="col" '
        'class="right">95 % interval</th><th scope="col" class="right">Aim</th><th scope="col"></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _doses(summary: Summary) -> str:
    if not summary.doses:
        return "<p>No event had a cause that comes in doses.</p>"
    titles = {
        "distance": "A car put in the way, nearer and farther", "speed": "The vehicle ahead, slower and faster",
        "colour": "The light in green, amber and red",
    }  # fmt: skip
    parts = []
    for row in summary.doses:
        said = f"Of {row.count}, {row.responds} change the plan, {row.monotone} of them the less, the weaker the cause"
        parts.append(
            f'<figure class="dose"><h3>{titles[row.axis]}</h3>{dose_plot(row)}<figcaption>{said}.</figcaption></figure>'
        )
    return f'<div class="doses">{"".join(parts)}</div>'


def _words(summary: Summary) -> str:
    if not summary.told:
        return (
            "<p>Not measurable: this policy gives words with its plan but cannot be given any. What needs that "
            "(obedience, and all edits of words) is left out, not guessed.</p>"
        )
    most = max((row.moved_m.value for row in summary.words), default=0.0)
    blind = summary.figure("blind_m")
    rows = [*((row.arm, row.moved_m, row.obeyed) for row in summary.words),
            ("cameras blanked (yardstick)", blind, Estimate(math.nan, math.nan, math.nan, 0))]  # fmt: skip
    body = []
    for arm, moved, obeyed in rows:
        share = f"{100 * obeyed.value:.0f} % obeyed" if not math.isnan(obeyed.value) else ""
        wide = 100.0 * moved.value / max(most, blind.value, 1e-9)
        body.append(
            f'<tr><th scope="row">{esc(arm)}</th><td class="bar"><svg viewBox="0 0 100 12" preserveAspectRatio="none" '
            f'aria-hidden="true"><rect class="dot" width="{wide:.1f}" height="12" rx="1"/></svg></td>'
            f'<td class="right">{moved.value:.2f} m</td><td class="right soft">{moved.low:.2f} to {moved.high:.2f}</td>'
            f'<td class="right">{share}</td></tr>'
        )
    return _scroll(
        '<table><thead><tr><th scope="col">The words are</th><th scope="col"></th><th scope="col" class="right">the '
        'plan moves by</th><th scope="col" class="right">95 % interval</th><th scope="col"></th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _published(report: FaithReport) -> str:
    rows = []
    for p in report.published:
        ours = _figure(report, p.key)
        rows.append(
            f'<tr><th scope="row">{esc(p.what)}</th><td>{esc(p.value)}</td><td class="strong">{value_of(ours)}</td>'
            f'<td>{esc(p.source)}</td><td class="soft">{esc(p.difference)}</td></tr>'
        )
    return _scroll(
        '<table class="published"><thead><tr><th scope="col">Figure</th><th scope="col">Published</th><th scope="col">'
        'This policy</th><th scope="col">Source</th><th scope="col">Difference in method</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


# ------------------------------------------------------------------ the events


def _films(films: Sequence[PairFilm], folder: Path) -> str:
    left, parts = EMBED_BYTES, []
    for kind, (title, means) in KINDS.items():
        own = [film for film in films if film.case.kind == kind]
        figures = []
        for film in own:
            size = film.path.stat().st_size
            embed = size <= left
            left -= size if embed else 0
            figures.append(_film(film, embed, folder))
        if figures:
            parts.append(
                f'<h3>{title} <span class="soft">{means}</span></h3><div class="pairs">{"".join(figures)}</div>'
            )
        elif kind != "faithful":
            parts.append(f'<h3>{title} <span class="soft">{means} No such event is shown.</span></h3>')
    return "".join(parts)


def _film(film: PairFilm, embed: bool, folder: Path) -> str:
    source = quote(Path(os.path.relpath(film.path, folder)).as_posix())
    if embed:
        source = f"data:video/mp4;base64,{base64.b64encode(film.path.read_bytes()).decode()}"
    poster = f"data:image/jpeg;base64,{base64.b64encode(film.poster).decode()}"
    case, event = film.case, film.case.measured.event
    where = f"{event.family.replace('_', ' ')}, seed {event.seed}, after {event.k / 10:.1f} s"
    return (
        f'<figure class="film pair"><video controls muted playsinline preload="none" poster="{poster}" '
        f'src="{esc(source)}"></video><figcaption><p><b>{esc(case.caption)}</b> <span class="soft">{esc(where)}</span>'
        f'</p><div class="said"><div><h4>As it was</h4><q>{esc(film.said or "no words")}</q></div><div><h4>'
        f"{esc(film.change)}</h4><q>{esc(film.said_changed or 'no words')}</q></div>"
        f"{plan_plot(case, film.change)}</div></figcaption></figure>"
    )
