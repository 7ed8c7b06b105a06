"""report.html as text and in a real browser: foreign text does nothing in it, and everything in it works."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from analysis import records as make
from analysis.scenarios import scenario, steady
from report.chromium import CHROMIUM, Page, chromium

from harness.analysis.analyse import analyse
from harness.analysis.details import details
from harness.core.records import CallRecord
from harness.predict.score import Score, ScoreRow
from harness.report.drawing import Drawings
from harness.report.files import write_report
from harness.report.html import html_report
from harness.report.page_data import FIELDS
from harness.report.score_file import SavedScore, read_score, write_score
from harness.runs.model import Note, Run
from harness.wording.run_answer import run_answer

NASTY = "\x1b[31m</script><script>alert(1)</script><img src=x onerror=alert(1)><!-- \u202e\x07 ${x} {{ 7*7 }} &amp; \"'"
SHOWN = "[31m</script><script>alert(1)</script><img src=x onerror=alert(1)><!--  ${x} {{ 7*7 }} &amp; \"'"


def _nasty_run() -> Run:
    """Markup, script and terminal escapes wherever text comes from outside: names within, too, past the schema."""
    run = scenario({"serial": steady(16), "batched": steady(13)}, {"serial": steady(3), "batched": steady(2)})
    calls: list[CallRecord] = []
    for serial, call in enumerate(run.calls):
        calls.append(call._replace(agent=NASTY, model=NASTY, call=serial))
    broken = make.call("merge", pipeline="digest", path="batch", candidate="batched", job=9, outcome="error", ready=1.0)
    calls.append(broken._replace(reply=broken.reply._replace(error=NASTY)))
    return run._replace(
        calls=tuple(calls),
        servers=tuple(s._replace(model=NASTY, version=NASTY, details={NASTY: NASTY}) for s in run.servers),
        machine={"cpu": NASTY, "cores": 2, NASTY: NASTY},
        command=NASTY,
        options={NASTY: NASTY},
        notes=(Note("run", NASTY),),
        workload=run.workload.model_copy(update={"description": NASTY, "name": NASTY}),
    )


def _score(run: Run) -> Score:
    rows = (
        ScoreRow("serial", "digest", "pipeline time", 15.0, 16.0, 0.02),
        ScoreRow(NASTY, NASTY, NASTY, 1.0, 2.0, None),
    )
    return Score(rows, ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("run")
    run = _nasty_run()
    score = _score(run)
    write_score(made, score, "measured", SavedScore(NASTY, "as observed", score.rows, (NASTY,)))
    write_report(made, analyse(run), run)
    return made


class _Reader(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_others_text_is_text_everywhere(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    read = _Reader(text)
    assert [attributes for tag, attributes in read.tags if tag == "script"] == [
        {"type": "application/json", "id": "timeline-data"}, {},
    ]  # fmt: skip
    assert not {"img", "iframe", "object", "embed", "link", "base", "form", "foreignobject"} & {
        tag for tag, _ in read.tags
    }
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert read.text.count(SHOWN) > 10
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_data_for_the_script_cannot_end_its_element(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    match = re.search(r'<script type="application/json" id="timeline-data">(.*?)</script>', text, re.DOTALL)
    assert match is not None
    assert not set("<>&") & set(match[1])
    data = json.loads(match[1])
    assert tuple(data["fields"]) == FIELDS
    assert SHOWN in data["texts"]
    assert {len(row) for timeline in data["timelines"] for row in timeline["calls"]} == {len(FIELDS)}


def test_the_policy_allows_this_script_alone_and_no_network(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(a["content"] for tag, a in _Reader(text).tags if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'")


def test_the_answer_comes_first_and_is_that_of_the_terminal() -> None:
    run = scenario({"serial": steady(16), "batched": steady(13)}, {"serial": steady(3), "batched": steady(2)})
    analysis = analyse(run)
    answer = run_answer(analysis)
    text = html_report(analysis, details(run, analysis), Drawings({}))
    assert text.index('<section class="answer"') < text.index("<nav")
    top = text.partition('<section class="answer"')[2].partition("</section>")[0]
    words = _Reader(top).text.replace("\u00a0", " ")
    assert answer.headline in words and " · ".join(answer.basis) in words
    assert answer.table is not None
    for row in answer.table.rows:
        assert all(cell in words for cell in row.cells)
    for part in answer.parts[:-1]:  # what comes last says how to print the rest in a terminal
        assert all(line.text in words for line in part.lines)


def test_every_candidate_pipeline_and_node_is_in_the_page(folder: Path) -> None:
    words = _Reader((folder / "report.html").read_text(encoding="utf-8")).text
    for word in ("serial", "batched", "digest", "chat", "summarize", "merge", "reply", "slack", "critical"):
        assert word in words


def test_a_score_is_read_back_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    score = _score(_nasty_run())
    saved = SavedScore("laptop", "as observed", score.rows, ("a note",))
    assert read_score(tmp_path) is None
    write_score(tmp_path, score, "measured", saved)
    assert read_score(tmp_path) == saved
    whole = (tmp_path / "score.json").read_text()
    newer = whole.replace('"score_version": 1', '"score_version": 2')
    for damaged in ("", "[]", whole[:-20], newer, "{}", "[" * 100_000):
        (tmp_path / "score.json").write_text(damaged)
        assert read_score(tmp_path) is None


def test_a_hundred_thousand_calls_make_a_small_page() -> None:
    """The records of 500 repeats, with the calls of one trial by the thousand."""
    calls = [
        make.call(candidate=name, serial=n, job=n, ready=n / 8, server="four-slot", router=n / 512)
        for name in ("serial", "batched", "split")
        for n in range(5000)
    ]
    trials = tuple(make.trial(name, 0, makespan=1000.0) for name in ("serial", "batched", "split"))
    jobs = tuple(
        make.job(candidate=name, number=n, due=n / 8, end=n / 8 + 2 + n % 97 / 10)
        for name in ("serial", "batched", "split")
        for n in range(5000)
    )
    run = make.run(calls=tuple(calls), trials=trials, jobs=jobs)
    analysis = analyse(run)
    found = details(run, analysis)
    assert [(timeline.calls, timeline.shown) for timeline in found.timelines] == [(5000, 2000)] * 3
    assert {len(distribution.points) for distribution in found.distributions} == {200}
    assert len(html_report(analysis, found, Drawings({})).encode()) < 1_500_000


# --- in a browser -----------------------------------------------------------------------------------------------------

browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the report was not seen in a browser")


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("browser")) as opened:
        opened.size(1200, 900)
        opened.open(folder / "report.html")
        yield opened


@browser
def test_nothing_goes_wrong_and_nothing_is_asked_for(page: Page, folder: Path) -> None:
    assert page.run("document.querySelectorAll('.call').length") > 0
    asked = [about["request"]["url"] for method, about in page.events if method == "Network.requestWillBeSent"]
    assert asked == [(folder / "report.html").as_uri()]
    said = [
        event
        for event in page.events
        if event[0] in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
    ]
    assert said == []


@browser
def test_the_policy_stops_script_that_got_in(page: Page) -> None:
    """Were something inserted as markup after all, it would not run, and nothing could be fetched."""
    page.run("document.body.insertAdjacentHTML('beforeend', '<img id=in src=x onerror=\"window.ran = 1\">')")
    page.run("(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 2'; "
             "document.body.append(s); s.remove(); document.getElementById('in').remove(); })()")  # fmt: skip
    page.frames()
    assert page.run("window.ran === undefined")
    blocked = page.run("fetch('http://127.0.0.1:9/').then(() => 'fetched', () => 'blocked')")
    assert blocked == "blocked"
    page.events.clear()


@browser
def test_every_chart_is_drawn(page: Page) -> None:
    drawn = page.run(
        "[...document.querySelectorAll('.chart')].map((c) => [c.id, c.querySelectorAll('svg path').length, "
        "c.querySelector('svg').getBoundingClientRect().width])"
    )
    assert [name for name, *_ in drawn] == [
        "chart-pipeline-time", "chart-reply-time", "chart-first-token", "chart-trade", "chart-throughput",
        "chart-latency",
        "chart-time-split", "chart-node-split", "chart-score",
    ]  # fmt: skip
    assert all(paths > 3 and width > 300 for _, paths, width in drawn)
    assert page.run("new Set([...document.querySelectorAll('.chart [id]')].map((e) => e.id)).size === "
                    "document.querySelectorAll('.chart [id]').length")  # fmt: skip


@browser
def test_a_click_shows_a_calls_details_as_text(page: Page) -> None:
    page.click(".call[data-call='0']")
    words = page.run("document.getElementById('timeline-call').innerText")
    for word in ("summarize", "digest, 1", "prefill", "decode", "prompt tokens", "60", "<script>alert(1)</script>"):
        assert word in words
    assert page.run("document.querySelectorAll('.chosen-call').length") == 1
    failed = page.run("document.querySelector('.failed').closest('.call').dataset.call")
    page.click(f".call[data-call='{failed}']")
    words = page.run("document.getElementById('timeline-call').innerText")
    assert "error" in words and "onerror=alert(1)" in words
    assert page.run("document.querySelectorAll('#timeline-call img, #timeline-call script').length") == 0


@browser
def test_the_timeline_works_from_the_keyboard(page: Page) -> None:
    page.run("document.getElementById('zoom-all').focus()")
    page.key("Tab")
    assert page.run("document.activeElement.id") == "timeline-view"
    page.key("Escape")
    heads = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.key(key)
        heads.append(page.run("document.querySelector('.chosen-call').getAttribute('x')"))
        assert page.run("document.querySelector('#timeline-call h3').textContent")
    assert heads[0] == heads[2]
    ticks = "[...document.querySelectorAll('#timeline-view text')].map((e) => e.textContent).join()"
    whole = page.run(ticks)
    page.key("+")
    near = page.run(ticks)
    assert near != whole
    page.key("ArrowRight", shift=True)
    assert page.run(ticks) != near
    page.key("0")
    assert page.run(ticks) == whole
    page.key("ArrowDown")
    assert page.run("document.querySelectorAll('.chosen-call').length") == 1


@browser
def test_any_candidate_and_repeat_can_be_chosen_from_the_keyboard(page: Page) -> None:
    about = "document.getElementById('timeline-about').textContent.split(':')[0]"

    def press(chooser: str, key: str) -> Any:
        page.run(f"document.getElementById('{chooser}').focus()")
        page.key(key)
        return page.run(about)

    assert press("timeline-repeat", "Home").endswith("repeat 1")
    assert press("timeline-candidate", "Home") == "serial, repeat 1"
    assert press("timeline-repeat", "End") == "serial, repeat 5"
    assert press("timeline-candidate", "End") == "batched, repeat 5"  # the same work
    assert press("timeline-repeat", "ArrowUp") == "batched, repeat 4"
    names = "[...document.querySelectorAll('#timeline select')].map((e) => e.labels[0].textContent.split(' ')[0])"
    assert page.run(names) == ["Candidate", "Repeat"]


@browser
def test_everything_that_scrolls_or_acts_can_be_reached_and_has_a_name(page: Page) -> None:
    nameless = page.run(
        "[...document.querySelectorAll('button, [role=region], [role=application], svg[role=img]')].filter((e) => "
        "!(e.getAttribute('aria-label') || e.textContent.trim() || e.getAttribute('aria-labelledby'))).length"
    )
    assert nameless == 0
    assert page.run("[...document.querySelectorAll('.scroll')].every((e) => e.tabIndex === 0)")
    levels = page.run("[...document.querySelectorAll('h1, h2, h3')].map((e) => +e.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@browser
def test_dark_follows_the_system_and_the_button(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    label = "getComputedStyle(document.querySelector('.chart svg text')).fill"
    page.media(prefers_color_scheme="light")
    light = page.run(f"[{paper}, {label}]")
    page.media(prefers_color_scheme="dark")
    dark = page.run(f"[{paper}, {label}]")
    assert light[0] == "rgb(255, 255, 255)" and dark[0] == "rgb(21, 24, 27)"
    assert light[1] != dark[1]
    page.click("#theme")
    assert page.run(f"[{paper}, document.getElementById('theme').textContent]") == [light[0], "Theme: light"]
    page.media(prefers_color_scheme="light")
    page.click("#theme")
    assert page.run(paper) == dark[0]
    page.click("#theme")
    assert page.run(paper) == light[0]


@browser
def test_nothing_is_wider_than_a_phone(page: Page) -> None:
    page.size(400, 800)
    assert page.run("document.documentElement.scrollWidth") <= 400
    page.size(1200, 900)
    assert page.run("document.documentElement.scrollWidth") <= 1200


@browser
def test_it_prints(page: Page) -> None:
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 20_000
    assert page.run("document.querySelectorAll('details[open]').length") == 0  # folded again afterwards
