"""Charts: legible on a phone and in a grey print, with goals, whole names, and nothing twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import chdir
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from quiet import Quiet
from report.chromium import CHROMIUM, Page, chromium

from harness.analysis.details import details
from harness.analysis.model import Analysis
from harness.app.options import Assumptions, RecommendOptions, SimulateOptions
from harness.app.recommend import Found, keep_recommendation, recommend
from harness.app.simulate import simulate
from harness.predict.score import ScoreRow
from harness.recommend.model import LoadRow
from harness.report.bars import KINDS, Kind
from harness.report.chart_style import NARROW, WIDE, Layout, to_svg
from harness.report.charts import charts_of
from harness.report.detail_charts import detail_charts
from harness.report.files import write_report
from harness.report.search_charts import search_charts
from harness.report.text import numbered
from harness.runs.model import Run

ROOT = Path(__file__).parents[2]
PHONE = 368  # pixels for a chart, of 400
LEAST_FONT = 10  # pixels on the screen
LONG = (
    "serial-on-1-with-the-interactive-calls-first-of-all",
    "two-servers-one-of-them-with-four-slots-for-the-batch-path",
)


def words_of(svg: str) -> str:
    return " ".join(re.findall(r">([^<>]+)</t(?:ext|span)>", svg))


def svgs_of(run: Run, analysis: Analysis, layout: Layout, score: tuple[ScoreRow, ...] = ()) -> dict[str, str]:
    charts = charts_of(analysis, layout) | detail_charts(analysis, details(run, analysis), score, layout)
    return {name: to_svg(chart) for name, chart in charts.items()}


WORKLOAD = f"""
version: 1
name: long
pipelines:
  digest:
    path: batch
    jobs: 2
    nodes:
      read: {{agent: {{prompt: "Summarise this.", output_tokens: 40}}}}
      merge: {{agent: {{prompt: "Merge these.", output_tokens: 30}}, after: [read]}}
  chat:
    path: interactive
    jobs: 4
    arrival: {{every_s: 0.4}}
    goal: {{p50_s: 2}}
    nodes:
      reply: {{agent: {{prompt: "Hello.", output_tokens: 30}}}}
servers:
  one-slot: {{kind: simulated, profile: epyc-2core, slots: 1}}
  four-slot: {{kind: simulated, profile: epyc-2core, slots: 4}}
compare:
  {LONG[0]}: {{placement: one-slot, concurrency: serial}}
  {LONG[1]}: {{placement: four-slot, concurrency: window}}
"""

ASSUMED = Assumptions(profiles=("epyc-2core",), extrapolate=True, resamples=0)


def simulated(name: str) -> tuple[Run, Analysis]:
    return predicted(ROOT / "workloads" / f"{name}.yaml")


def predicted(file: Path) -> tuple[Run, Analysis]:
    found = simulate(file, SimulateOptions(assumptions=ASSUMED, repeats=2))
    return found.run, found.analysis


@pytest.fixture(scope="module", autouse=True)
def where_workloads_are() -> Iterator[None]:
    with chdir(ROOT):
        yield


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Analysis]:
    file = tmp_path_factory.mktemp("workload") / "long.yaml"
    file.write_text(WORKLOAD, encoding="utf-8")
    return predicted(file)


# --- kinds of time ----------------------------------------------------------------------------------------------------


def contrast(one: Kind, other: Kind) -> float:
    """Return the contrast ratio of WCAG 2.2 between two kinds as they are on white paper."""
    dark, light = sorted((one.lightness, other.lightness))
    return (light + 0.05) / (dark + 0.05)


def test_what_lies_side_by_side_differs_without_colour() -> None:
    for one, other in pairwise(KINDS):
        assert one.texture != other.texture or contrast(one, other) > 1.5, (one.label, other.label)


def test_the_four_that_every_report_has_differ_by_lightness_too() -> None:
    common = [kind for kind in KINDS if kind.field in ("router_wait_s", "queue_wait_s", "prefill_s", "decode_s")]
    for one, other in combinations(common, 2):
        assert contrast(one, other) > 1.25, (one.label, other.label, contrast(one, other))
    router, prefill = common[0], common[2]
    assert router.texture is not None and prefill.texture is None


def test_textures_are_in_the_chart_that_uses_them(long_names: tuple[Run, Analysis]) -> None:
    svg = svgs_of(*long_names, WIDE)["time-split"]
    used = set(re.findall(r"url\(#(kind-\w+)\)", svg))
    assert used and used <= set(re.findall(r'<pattern id="(kind-\w+)"', svg))


# --- sizes and names --------------------------------------------------------------------------------------------------


def test_charts_of_a_phone_are_as_wide_as_it_is(long_names: tuple[Run, Analysis]) -> None:
    score = tuple(ScoreRow(name, "digest", "pipeline time", 15.0, 16.0, 0.02) for name in LONG)
    svgs = svgs_of(*long_names, NARROW, score)
    assert len(svgs) > 5
    for name, svg in svgs.items():
        width = float(re.search(r'<svg[^>]* width="([\d.]+)"', svg)[1])  # type: ignore[index]
        assert 250 < width < PHONE * 1.1, name
        sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', svg)]
        assert min(sizes) * min(1.0, PHONE / width) >= LEAST_FONT, name


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_names_stay_whole(long_names: tuple[Run, Analysis], layout: Layout) -> None:
    for name, svg in svgs_of(*long_names, layout).items():
        for candidate in () if name == "node-split" else LONG:
            ends = (candidate[:20], candidate[-20:])  # of more than 52 the middle goes
            assert all(end in words_of(svg).replace("…", "") for end in ends), (name, candidate)


def test_short_names_stand_beside_their_rows_and_points() -> None:
    assert numbered(["serial", "batched"], 10) == ({"serial": "serial", "batched": "batched"}, ())
    assert numbered(["serial", "batched", "serial"], 6) == (
        {"serial": "1", "batched": "2"}, ("1  serial", "2  batched"),
    )  # fmt: skip


# --- what they show ---------------------------------------------------------------------------------------------------


def test_goals_are_drawn_or_said() -> None:
    run, analysis = simulated("rush-hour")
    svgs = svgs_of(run, analysis, WIDE)
    for name in ("reply-time", "latency", "arrivals"):
        assert "goal: median 2.00 s" in words_of(svgs[name])
    assert "the queue grows from" in words_of(svgs["arrivals"])
    far = [
        candidate._replace(
            pipelines=tuple(
                s._replace(goals=tuple(g._replace(wanted_s=500.0) for g in s.goals)) for s in candidate.pipelines
            )
        )
        for candidate in analysis.candidates
    ]
    said = words_of(svgs_of(run, analysis._replace(candidates=tuple(far)), WIDE)["reply-time"])
    assert "goal, far beyond: median 8 min 20 s" in said
    first = words_of(svgs_of(*simulated("research-digest"), WIDE)["first-token"])
    assert "goal: first token 1.00 s" in first


def test_a_chart_says_whether_it_shows_means_or_medians(long_names: tuple[Run, Analysis]) -> None:
    svgs = svgs_of(*long_names, WIDE)
    for name, told in {
        "reply-time": "each the median of its jobs",
        "first-token": "each the median of its jobs",
        "time-split": "means of all jobs",
        "latency": "the median is at 50 %",
        "node-split": "means over the successful calls",
    }.items():
        if name in svgs:
            assert told in words_of(svgs[name])


@pytest.mark.parametrize("name", ["research-digest", "concurrency-ladder", "chat-only", "bulk-classify", "map-reduce"])
def test_no_chart_is_there_twice(name: str) -> None:
    """No two charts have most numbers in common; one path against the other is a view of its own of two of them."""
    numbers = {}
    for chart, svg in svgs_of(*simulated(name), WIDE).items():
        labels = " ".join(re.findall(r'aria-label="([^"]*)"', svg))
        numbers[chart] = {round(float(value), 5) for value in re.findall(r": (-?\d+\.\d{4,})", labels)}
    assert len(numbers) > 1
    for one, other in combinations((chart for chart in numbers if chart != "trade"), 2):
        both = numbers[one] & numbers[other]
        assert len(both) <= 0.3 * min(len(numbers[one]), len(numbers[other])), (one, other)


# --- the page of a recommendation -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Path]:
    assumptions = Assumptions(profiles=("epyc-2core",), resamples=0)
    asked = RecommendOptions(
        assumptions=assumptions, measure=False, seeds=2, max_slots=4, workers=1, command="slotwise recommend this.yaml"
    )
    found = recommend(ROOT / "workloads" / "research-digest.yaml", asked, Quiet())
    return found, keep_recommendation(found, tmp_path_factory.mktemp("recommended"))


def test_the_page_of_a_recommendation_has_all_that_a_run_has(searched: tuple[Found, Path]) -> None:
    found, folder = searched
    text = (folder / "report.html").read_text(encoding="utf-8")
    anchors = re.findall(r'<section (?:id="([\w-]+)"|class="(\w+)")', text)
    order = [one or other for one, other in anchors]
    wanted = ["answer", "notes", "front", "useful", "users", "changes", "bounds", "search", "why", "candidates"]
    wanted += ["concurrency", "latency", "time", "path", "timeline", "environment", "reproduce"]
    assert [name for name in order if name in wanted] == wanted
    assert "chart-front" in text and "chart-trade" not in text  # the front is that of more candidates
    assert "calls.jsonl" not in text  # there is none beside it
    assert found.recommendation.answer[0] in text
    reproduce = text.partition('<section id="reproduce"')[2]
    assert "slotwise recommend this.yaml" in reproduce and "slotwise run" not in reproduce
    assert "This command" not in text  # a page is none


def test_the_front_marks_the_answer_and_the_load_is_a_chart(searched: tuple[Found, Path]) -> None:
    found = searched[0].recommendation
    for layout in (WIDE, NARROW):
        front = to_svg(search_charts(found, layout)["front"])
        assert len(re.findall(r'aria-roledescription="point"', front)) == sum(point.chosen for point in found.front) > 0
        assert all(point.candidate in words_of(front) for point in found.front)
    rows = (0.5, 1.0, 2.0)
    load = tuple(LoadRow(rate, (1.5, 2.0), (1.0, 1.1), 0, (3.0 * rate, 0.5 * rate)) for rate in rows)
    svg = to_svg(search_charts(found._replace(load=load))["load"])
    assert "arrival rate, over that of the workload" in words_of(svg)
    assert len(re.findall(r'aria-roledescription="circle"', svg)) == 6


# --- in a browser -----------------------------------------------------------------------------------------------------

browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: charts were not seen in a browser")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(
    long_names: tuple[Run, Analysis], searched: tuple[Found, Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("run")
    write_report(folder, long_names[1], long_names[0])
    return {"run": folder / "report.html", "recommendation": searched[1] / "report.html"}


_SEEN = """
[...document.querySelectorAll('.chart svg')].filter((s) => s.getClientRects().length).map((s) => {
  const box = s.getBoundingClientRect();
  const scale = box.width / s.viewBox.baseVal.width;
  const words = [...s.querySelectorAll('text')].filter((t) => t.textContent.trim());
  return [
    s.closest('.chart').id,
    Math.min(...words.map((t) => parseFloat(getComputedStyle(t).fontSize) * scale)),
    Math.min(...words.map((t) => t.getBoundingClientRect().left)),
    Math.max(box.right, ...words.map((t) => t.getBoundingClientRect().right)),
  ];
})
"""


@browser
@pytest.mark.parametrize("which", ["run", "recommendation"])
@pytest.mark.parametrize("width", [400, 1280])
def test_charts_can_be_read_and_nothing_is_cut_off(
    page: Page, pages: Mapping[str, Path], which: str, width: int
) -> None:
    page.size(width, 900)
    page.events.clear()
    page.open(pages[which])
    seen = page.run(_SEEN)
    assert len(seen) == page.run("document.querySelectorAll('.chart').length") > 4
    for name, font, left, right in seen:
        assert font >= LEAST_FONT, (name, font)
        assert left >= -1 and right <= width + 1, (name, left, right)
    assert page.run("document.documentElement.scrollWidth") <= width


@browser
def test_a_name_in_a_table_breaks_between_words_alone(page: Page, pages: Mapping[str, Path]) -> None:
    """Each piece of a name, between its hyphens, lies on one line."""
    page.size(400, 900)
    page.events.clear()
    page.open(pages["run"])
    broken = page.run("""
      [...document.querySelectorAll('tbody th')].flatMap((th) => {
        const node = th.firstChild, text = node.textContent, range = document.createRange();
        return [...text.matchAll(/[^\\s-]+/g)].filter((word) => {
          range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
          return range.getClientRects().length > 1;
        }).map((word) => word[0]);
      })
    """)
    assert broken == []
