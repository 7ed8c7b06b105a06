"""`slotwise compare --html`: the verdict first, everything as text, and a page even where there is no comparison."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from analysis.scenarios import scenario, steady
from report.chromium import CHROMIUM, chromium

from harness.analysis.analyse import analyse
from harness.analysis.between import compare_runs
from harness.analysis.summaries import Summary, read_summary
from harness.cli.app import _main
from harness.errors import UserError
from harness.report.between_html import between_html
from harness.report.summary import summary
from harness.runs.folder import RunFolder
from harness.runs.model import Run

WORK = {"pipelines": "p1", "agents": "a1", "inputs": "i1", "control": "c1"}
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e"


def run(serial: float = 16.0) -> Run:
    times = {"serial": steady(serial), "batched": steady(13.0)}
    return scenario(times, {"serial": steady(2.0), "batched": steady(1.0)})._replace(work=WORK)


def made(measured: Run, **changes: Any) -> Summary:
    return read_summary(summary(analyse(measured._replace(**changes))), "x")


class _Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words += data


def page_of(before: Summary, now: Summary, names: tuple[str, str] = ("a", "b")) -> str:
    found = compare_runs(before, now, names)
    return between_html([(names[0], before), (names[1], now)], [found], "slotwise compare a b")


def test_the_verdict_comes_first_with_its_largest_differences() -> None:
    text = page_of(made(run()), made(run(20.0)))
    top = text.partition('<section class="answer"')[2].partition("</section>")[0]
    assert '<p class="lead">Worse: serial (batch) slower.</p>' in top
    assert "<p>b is worse than a: serial (batch) is slower.</p>" in top
    assert top.count('class="big"') == 1 and "1.250 times" in top and ">measured<" in top
    words = _Reader(text).words
    for word in ("20.0", "16.0", "Paired by repeat", "grey: equal within 5 %", "Batch path", "Interactive path"):
        assert word in words.replace("\u00a0", " "), word
    assert len(text.encode()) < 200_000


def test_the_top_warns_of_a_busy_machine_and_the_part_says_what_each_run_recommends() -> None:
    busy = run()._replace(trials=tuple(trial._replace(other_cores=1.5) for trial in run().trials))
    text = page_of(made(busy), made(run(20.0)))
    top = text.partition('<section class="answer"')[2].partition("</section>")[0]
    assert "a: the machine was busy, so times are too long." in top
    assert "“b” is compared with “a”." in text and "earlier one" not in text
    assert "What each run says" in text and "The recommendation is the same" in text
    assert "Interactive path: first token of the reply" in text


def test_what_differs_between_the_machines_is_marked() -> None:
    text = page_of(made(run()), made(run(), machine={"cpu": "Another", "cores": 2, "memory_bytes": 16_000_000_000}))
    rows = {row.partition("</th>")[0].partition('scope="row">')[2]: row for row in text.split("<tr")}
    assert any(name.startswith("cpu <span") and "Another" in row for name, row in rows.items())
    assert "16000\u00a0MB" in rows['memory <span class="mark">differs</span>']
    assert "cores" in rows


def test_names_and_machines_are_text() -> None:
    text = page_of(made(run()), made(run(20.0), machine={NASTY: NASTY}), ("a", NASTY))
    read = _Reader(text)
    assert read.tags.count("script") == 1 and "img" not in read.tags
    assert "\x1b" not in text and "\u202e" not in text and "<script>alert(1)</script>" in read.words


def test_runs_that_cannot_be_compared_have_a_page_that_says_why() -> None:
    before, now = made(run()), made(run(), work={**WORK, "inputs": "i2"})
    with pytest.raises(UserError) as refused:
        compare_runs(before, now, ("a", "b"))
    text = between_html([("a", before), ("b", now)], [refused.value], "")
    lead = text.partition('<p class="lead">')[2].partition("</p>")[0]
    assert "a and b cannot be compared: they did not do the same work." in lead
    assert "<table>" in text  # what each ran on


Typed = Callable[..., int]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    for hour, measured in enumerate((run(), run(20.0), run()._replace(work={**WORK, "agents": "a2"}))):
        at = datetime(2026, 3, 4, hour, tzinfo=UTC)
        with RunFolder.create(Path("reports"), "digest", at) as folder:
            folder.write_header(measured._replace(started_at=at.isoformat()))
            folder.add_records(measured)

    def typed(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["slotwise", "compare", *words])
        return _main()

    return typed


def test_the_command_writes_the_page_beside_its_answer(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"digest-20260304-0{hour}0000" for hour in range(3)]
    assert typed(*names[:2], "--html", "out/page.html") == 0
    said = capsys.readouterr()
    assert "Worse: serial (batch) slower." in said.out and said.err == "Page: out/page.html\n"
    assert "slotwise compare digest-20260304-000000" in Path("out/page.html").read_text(encoding="utf-8")
    assert typed(*names, "--html", "all.html") == 2
    assert "cannot be compared" in capsys.readouterr().err
    text = Path("all.html").read_text(encoding="utf-8")
    assert "is worse than" in text and "cannot be compared" in text
    assert typed(*names[:2], "--html", "out") == 2
    assert "expected a file to write, found a folder" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the page was not seen in a browser")
def test_it_works_in_a_browser(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page_of(made(run()), made(run(20.0))), encoding="utf-8")
    with chromium(tmp_path / "browser") as page:
        page.size(400, 800)
        page.open(file)
        assert page.run("document.documentElement.scrollWidth") <= 400
        assert page.run("document.querySelectorAll('.chart svg path').length") > 3
        asked = [about["request"]["url"] for method, about in page.events if method == "Network.requestWillBeSent"]
        assert asked == [file.as_uri()]
        said = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        assert not [event for event in page.events if event[0] in said]
