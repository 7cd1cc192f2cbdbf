"""The report: its tables add up, and its page holds everything, runs only its own script and survives any name."""

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess

import pytest

from cordillera.evaluate.report import make_report, to_tree, worst_first
from cordillera.evaluate.report_page import Clip, write_report_page
from cordillera.evaluate.suite import Case, CaseResult
from cordillera.types import MetricResult


def result(policy, family, seed, reason="", region="DE", ended="duration", ttc=math.nan, trace=""):
    metric = MetricResult("time to collision", ttc, not math.isnan(ttc), "s", "higher")
    return CaseResult(
        Case(policy, family, "", "val", seed), not reason, reason, ended, region, "town01", (), 20.0, (metric,),
        10 if reason else 0, "d", trace, 2.0, 1.0,
    )  # fmt: skip


RESULTS = [
    *(result("good", "cut-in", k) for k in range(5)),
    *(result("good", "calm", k, region="JP") for k in range(5)),
    *(result("bad", "cut-in", k, "collision", ended="collision", ttc=0.1 * k) for k in range(5)),
    *(result("bad", "calm", k, "red light" if k < 2 else "", region="JP") for k in range(4)),
    result("bad", "calm", 4, "crash: KeyError", "JP", "crashed", trace="Traceback: <b>KeyError</b>"),
]
REPORT = make_report(RESULTS, {"calm"}, [("split", "val"), ("seeds", "5")])


def test_the_tables_add_up():
    assert [row.policy for row in REPORT.policies] == ["good", "bad"]
    good, bad = REPORT.policies
    assert (good.rate.value, bad.rate.value) == (1.0, pytest.approx(0.2))
    assert (bad.long_tail.value, bad.everyday.value) == (0.0, pytest.approx(0.4))
    assert (bad.passed, bad.crashes, good.crashes) == (2, 1, 0)
    assert bad.fallback_share == pytest.approx(80 / 2000)
    assert [(g.name, g.note, g.passed) for g in REPORT.families] == [
        ("cut-in", "long-tail", (5, 0)), ("calm", "everyday", (5, 2)),
    ]  # fmt: skip
    assert [(g.name, g.passed) for g in REPORT.regions] == [("DE", (5, 0)), ("JP", (5, 2))]
    assert REPORT.reasons == (("collision", (0, 5)), ("red light", (0, 2)), ("crash: KeyError", (0, 1)))
    (pair,) = REPORT.comparisons
    assert (pair.a, pair.b, pair.verdict, pair.only_a, pair.only_b) == ("good", "bad", "a", 8, 0)
    assert REPORT.metrics[0].estimates[1].value == pytest.approx(0.2) and REPORT.metrics[0].estimates[0].count == 0
    with pytest.raises(ValueError, match="at least one"):
        make_report([], (), [])


def test_the_worst_come_first_one_of_each_family():
    order = worst_first([r for r in RESULTS if r.case.policy == "bad"])
    assert [(r.case.family, r.case.seed) for r in order[:4]] == [("cut-in", 0), ("calm", 0), ("cut-in", 1), ("calm", 1)]
    assert not any(r.ended == "crashed" for r in order) and order[-1].success
    close = [result("p", "f", 0, ttc=2.0), result("p", "f", 1, ttc=0.5), result("p", "f", 2, "red light")]
    assert [r.case.seed for r in worst_first(close)] == [2, 1, 0]


def test_the_report_is_json():
    tree = to_tree(REPORT)
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree
    assert len(tree["results"]) == 20 and tree["results"][0]["metrics"][0]["value"] is None


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    film = folder / "videos" / "a b.mp4"
    film.parent.mkdir()
    film.write_bytes(b"film")
    return write_report_page(REPORT, [Clip(RESULTS[10], film, b"jpeg")], folder)


def test_the_page_is_self_contained_and_sealed(page):
    text = page.read_text(encoding="utf-8")
    assert "@@" not in text and not re.search(r"(src|href)=\"https?:", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy and "default-src 'none'" in policy[1] and "unsafe" not in policy[1]
    for tag in ("script", "style"):
        inner = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inner and base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode() in policy[1]
    assert " style=" not in text and " onclick=" not in text, "the policy forbids them"
    assert base64.b64encode(b"film").decode() in text and base64.b64encode(b"jpeg").decode() in text


def test_the_page_says_what_the_tables_say(page):
    text = page.read_text(encoding="utf-8")
    for words in (
        "100.0 %",
        "20.0 %",
        "<b>good</b> beats <b>bad</b>",
        "crash: KeyError",
        "&lt;b&gt;KeyError",
        "5/5",
        "2/5",
    ):
        assert words in text, words


def test_names_cannot_break_out_of_the_page(tmp_path):
    evil = '"><script>alert(1)</script>'
    rows = [result(evil, evil, 0, evil, evil, trace=evil), result("x", evil, 0)]
    text = write_report_page(make_report(rows, (), [(evil, evil)]), [], tmp_path).read_text(encoding="utf-8")
    assert "<script>alert" not in text and text.count("<script>") == 1


def test_films_beyond_the_room_of_the_page_stay_beside_it(page, tmp_path, monkeypatch):
    monkeypatch.setattr("cordillera.evaluate.report_page.EMBED_BYTES", 3)
    (tmp_path / "videos").mkdir()
    film = tmp_path / "videos" / "a b.mp4"
    film.write_bytes(b"film")
    text = write_report_page(REPORT, [Clip(RESULTS[10], film, b"jpeg")], tmp_path).read_text(encoding="utf-8")
    assert 'src="videos/a%20b.mp4"' in text


@pytest.mark.slow
def test_a_browser_shows_the_page_and_filters_its_rows(page, tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium here")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"--user-data-dir={tmp_path}", page.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    assert "8 of 8</span>" in done.stdout, "the script ran and counted the failures"
    assert 'aria-label="Play: cut-in, DE, seed 0' in done.stdout
