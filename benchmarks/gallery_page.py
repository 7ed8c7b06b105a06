"""The index page of the gallery: one table of what was learned, here and elsewhere. All of it is made from facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gallery_machines import HERE, MACHINES, REPEATS, Elsewhere, read_predictions
from benchmarks.gallery_repeats import Fixed, read_fixed
from harness.analysis.arriving import ArrivingJobs
from harness.analysis.deciding import Pays, QueueGrowth, growth_of, pays_of, settled
from harness.analysis.details import details
from harness.analysis.model import Analysis
from harness.app.report import report
from harness.report.drawing import drawn
from harness.report.summary import read_analysis
from harness.report.text import markdown
from harness.units import count
from harness.wording.figures import listed
from harness.wording.learned import gain_text, growth_text, learned, rates_text

__all__ = ["ORDER", "Entry", "entries", "index_page", "question", "write_index"]

ROOT = Path(__file__).parent.parent

# All shipped workloads, the most informative first.
ORDER = (
    "research-digest",
    "concurrency-ladder",
    "chat-only",
    "review-panel",
    "long-chat",
    "rush-hour",
    "retrieval",
    "best-of-three",
    "bulk-classify",
    "map-reduce",
    "supersteps",
    "planner-executor",
    "reflection-loop",
    "router",
    "two-handbooks",
    "sub-agents",
    "two-model-cascade",
    "thinking-chat",
    "rag",
)
NOT_HERE = {
    "thinking-chat": "not measured here: no built-in model thinks. Predicted alone.",
    "rag": "not measured here: it needs an Ollama with an embedding model.",
}


class Entry(NamedTuple):
    """A measured report of the gallery."""

    analysis: Analysis
    arriving: tuple[ArrivingJobs, ...]  # where the rate climbs and the records are kept
    whole: bool  # its records are kept: `slotwise report` makes it again

    @property
    def growth(self) -> QueueGrowth | None:
        """Where the queue begins to grow."""
        return growth_of(self.analysis, self.arriving)


def entries(out: Path) -> dict[str, Entry]:
    """Return the existing reports, in the gallery's order."""
    found = {}
    for name in ORDER:
        folder = out / name
        if not (folder / "summary.json").exists():
            continue
        analysis = read_analysis((folder / "summary.json").read_bytes(), str(folder / "summary.json"))
        whole = (folder / "environment.json").exists()
        arriving: tuple[ArrivingJobs, ...] = ()
        if whole and "ramp:" in (folder / "workload.yaml").read_text(encoding="utf-8"):
            arriving = details(*report(folder)).arriving
        found[name] = Entry(analysis, arriving, whole)
    return found


def write_index(out: Path) -> Path:
    """Write the index page and its charts, and return the page's path."""
    out.mkdir(parents=True, exist_ok=True)
    found, elsewhere = entries(out), read_predictions(out / "elsewhere.json")
    charts = _charts(found, elsewhere)
    for name, svg in charts.items():
        (out / f"{name}.svg").write_text(svg, encoding="utf-8")
    path = out / "README.md"
    path.write_text(index_page(out, found, elsewhere, read_fixed(out / "repeats.yaml")), encoding="utf-8")
    return path


def index_page(
    out: Path, found: Mapping[str, Entry], elsewhere: Mapping[str, Sequence[Elsewhere]], fixed: Mapping[str, Fixed]
) -> str:
    """Return the index page."""
    return "\n".join(_lines(out, found, elsewhere, fixed)) + "\n"


def _lines(
    out: Path, found: Mapping[str, Entry], elsewhere: Mapping[str, Sequence[Elsewhere]], fixed: Mapping[str, Fixed]
) -> Iterator[str]:
    done = [name for name, entry in found.items() if settled(entry.analysis, entry.growth)]
    yield "# Reports of the shipped workloads"
    yield ""
    yield "`make gallery` made these reports and this page. Nothing here was written or edited by hand. The results"
    yield "hold for one machine and its models; run the workloads on your machine."
    yield ""
    yield f"**{len(done)} of {len(found)} measured questions are settled**: each comparison that decides one is better,"
    yield "worse, or equal within 5 %. The others are shown as they are."
    yield ""
    yield from _table(found, elsewhere)
    yield ""
    yield "How to read it: a cell names the candidate to take, then what the fastest other candidate changes against"
    yield "the simplest one (fewest servers, fewest slots) on each path. −38 % is 38 % less time: there slots or"
    yield "servers pay. +12 % is 12 % more time: there they do not."
    yield ""
    if (out / "gain.svg").exists():
        yield "![What the fastest other candidate takes against the simplest, by machine](gain.svg)"
        yield ""
    yield from _rates(out, found, elsewhere)
    yield from _how(elsewhere)
    yield from _often(found, fixed)
    if (out / "gateway.md").exists():
        yield "[One design, with its policy in the harness and in the gateway](gateway.md)"
        yield ""
    yield "## Open one again"
    yield ""
    yield "    slotwise report reports/gallery/research-digest"
    yield "    slotwise compare reports/gallery/research-digest RUN    # your own run of the same workload"
    yield ""
    yield "`report.html` of each is one file: download and open it. Calls are kept too, packed (`calls.jsonl.gz`)."


# --- the table --------------------------------------------------------------------------------------------------------


def _table(found: Mapping[str, Entry], elsewhere: Mapping[str, Sequence[Elsewhere]]) -> Iterator[str]:
    heads = ["question", "learned", f"{HERE.name} ({HERE.model}), measured"]
    heads += [
        f"{machine.name} ({machine.model}), {'predicted' if machine.profile else 'estimated'}" for machine in MACHINES
    ]
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for name in ORDER:
        entry, there = found.get(name), {one.machine: one for one in elsewhere.get(name, ())}
        if entry is None and not there:
            continue
        cells = [_asked(name, entry), _learned(entry, there), _here(name, entry)]
        cells += [_there(there.get(machine.name)) for machine in MACHINES]
        yield f"| {' | '.join(cells)} |"


def _asked(name: str, entry: Entry | None) -> str:
    links = ""
    if entry is not None:
        links = f"<br>[report]({name}/report.md), [page]({name}/report.html), [data]({name}/summary.json)"
    return f"**{name}**: {question(name)}{links}"


def _learned(entry: Entry | None, there: Mapping[str, Elsewhere]) -> str:
    if entry is not None:
        return markdown(learned(entry.analysis, entry.growth))
    first = next((there[m.name] for m in MACHINES if m.name in there and there[m.name].learned), None)
    return "–" if first is None else markdown(f"{first.learned} ({first.origin}, {first.machine})")


def _here(name: str, entry: Entry | None) -> str:
    if entry is None:
        return NOT_HERE.get(name, "not measured here.")
    analysis = entry.analysis
    state = "settled" if settled(analysis, entry.growth) else "not settled"
    if analysis.candidates:
        state += f", {analysis.candidates[0].repeats} repeats, {analysis.run.started_at[:10]}"
    if not entry.whole:
        state += ", an older run, its summary alone"
    return f"{_cell(analysis.choice.candidate, pays_of(analysis), entry.growth)}<br>{state}"


def _there(one: Elsewhere | None) -> str:
    if one is None:
        return "–"
    if one.why_not:
        return markdown(f"not predicted: {one.why_not}")
    return _cell(one.chosen, one.pays, one.growth)


def _cell(chosen: str | None, pays: Sequence[Pays], growth: QueueGrowth | None) -> str:
    named = [(f"{listed(one.pipelines)}: " if len(pays) > 1 else "", one) for one in pays]
    gains = [f"{name}{gain_text(one)}" for name, one in named] + ([] if growth is None else [rates_text(growth)])
    first = f"**{markdown(chosen)}**" if chosen else "no clear choice"
    return "<br>".join([first, *map(markdown, gains)])


# --- below it ---------------------------------------------------------------------------------------------------------


def _rates(out: Path, found: Mapping[str, Entry], elsewhere: Mapping[str, Sequence[Elsewhere]]) -> Iterator[str]:
    for name, here, there in _climbing(found, elsewhere):
        yield f"## Where the queue begins to grow: {name}"
        yield ""
        if here is not None:
            yield f"- {HERE.name}, measured: {markdown(growth_text(here))}"
        elif name in found:
            yield f"- {HERE.name}, measured: not known. The older run kept no records, and may have had another rate."
        for one in there:
            if one.growth is not None:
                yield f"- {one.machine}, {_origin(one)}: {markdown(growth_text(one.growth))}"
        yield ""
        if (out / f"{name}-rate.svg").exists():
            yield f"![Reply time over the arrival rate]({name}-rate.svg)"
            yield ""


def _climbing(
    found: Mapping[str, Entry], elsewhere: Mapping[str, Sequence[Elsewhere]]
) -> Iterator[tuple[str, QueueGrowth | None, list[Elsewhere]]]:
    for name in ORDER:
        here = found[name].growth if name in found else None
        there = sorted(
            (one for one in elsewhere.get(name, ()) if one.arriving), key=lambda one: one.machine != HERE.name
        )
        if here is not None or there:
            yield name, here, there


def _how(elsewhere: Mapping[str, Sequence[Elsewhere]]) -> Iterator[str]:
    if not elsewhere:
        return
    yield "## The other machines"
    yield ""
    yield "They were named in `benchmarks/gallery_machines.py` before any of their results was seen. Every workload is"
    yield f"shown, none left out. {REPEATS} repeats in virtual time; numbers of slots that a profile lacks are derived."
    yield "An estimate knows the device's figures alone ([more](../../docs/explanation/estimates.md))."
    yield ""
    for machine in MACHINES:
        what = "predicted on a measured profile" if machine.profile else "estimated"
        yield f"- {machine.name}: {what}, `slotwise simulate workloads/NAME.yaml {machine.arguments} --extrapolate`"
    yield ""


def _often(found: Mapping[str, Entry], fixed: Mapping[str, Fixed]) -> Iterator[str]:
    if not fixed:
        return
    yield "## How often each was measured"
    yield ""
    yield "Fixed beforehand by pilots, which are no part of the result ([repeats.yaml](repeats.yaml),"
    yield "`benchmarks/gallery_repeats.py`). Needed: repeats that would settle it in four cases of five, by its pilot."
    yield "A run in which other programs used more than half a core during a trial is measured again."
    yield ""
    yield "| workload | pilot | needed | fixed | candidates | measured |"
    yield "|---|---|---|---|---|---|"
    for name, one in fixed.items():
        pilot = f"{one.pilot['date']}, {count(one.pilot['repeats'], 'repeat')}"
        entry = found.get(name)
        done = "–"
        if entry is not None and entry.analysis.candidates:
            done = f"{entry.analysis.candidates[0].repeats}, {entry.analysis.run.started_at[:10]}"
        yield f"| {name} | {pilot} | {one.needed_text} | {one.repeats} | {', '.join(one.only) or 'all'} | {done} |"
    yield ""


def _origin(one: Elsewhere) -> str:
    return "estimated" if one.origin == "estimated" else "predicted"


# --- charts -----------------------------------------------------------------------------------------------------------


def _charts(found: Mapping[str, Entry], elsewhere: Mapping[str, Sequence[Elsewhere]]) -> dict[str, str]:
    """Return the charts of the page as SVG, by name; those without data are left out."""

    def of_page(layout: Any) -> Mapping[str, Any]:
        from harness.report.gain_chart import GainRow, gain_chart
        from harness.report.rate_chart import RatePanel, rate_chart

        rows = [
            GainRow(name, f"{HERE.name}, measured", pays)
            for name, entry in found.items()
            for pays in pays_of(entry.analysis)
        ]
        rows += [
            GainRow(name, f"{one.machine}, {_origin(one)}", pays)
            for name in ORDER
            for one in elsewhere.get(name, ())
            if one.machine != HERE.name
            for pays in one.pays
        ]
        charts = {"gain": gain_chart([row for row in rows if row.pays.path == "batch"], layout)} if elsewhere else {}
        for name, here, there in _climbing(found, elsewhere):
            panels = [] if here is None else [RatePanel(f"{HERE.name}, measured", found[name].arriving, here)]
            panels += [
                RatePanel(f"{one.machine}, {_origin(one)}", one.arriving, one.growth) for one in there if one.growth
            ]
            charts[f"{name}-rate"] = rate_chart(panels, layout)
        return {name: chart for name, chart in charts.items() if chart is not None}

    return {name: drawing.wide for name, drawing in drawn([of_page]).made.items()}


def question(name: str) -> str:
    """Return the question of a shipped workload, from its first comment."""
    text = (ROOT / "workloads" / f"{name}.yaml").read_text(encoding="utf-8")
    comment = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    asked = comment.partition("The question: ")[2].rpartition("?")[0]
    return f"{asked[:1].upper()}{asked[1:]}?"
