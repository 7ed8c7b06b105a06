"""The report in a terminal: the answer, and on request all that it rests on. 80 columns, readable without colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from harness.analysis.critical_path import CriticalPath
from harness.analysis.model import Analysis, CandidateSummary, Choice, PipelineSummary
from harness.analysis.statistics import Estimate
from harness.core.levers import levers_said
from harness.core.records import Origin
from harness.report.answer import print_answer
from harness.report.bars import KINDS, bar_cells, parts_text
from harness.report.levels import levels_report
from harness.report.text import numbered, plain
from harness.units import count, percent, seconds
from harness.wording.figures import both_text, ends_text, machine_text, repeats_text
from harness.wording.run_answer import run_answer
from harness.wording.said import Said, said

__all__ = ["print_report"]

_WIDTH = 80
_LONGEST_NAME = 24  # of a bar; names may have 63 characters
# Notices that say what every number rests on, and nothing that a reader must know before the verdict.
_PROFILE_BASIS = frozenset({"origin", "profile", "score", "assumed", "standard errors"})
_BASIS: Mapping[Origin, frozenset[str]] = {
    "predicted": _PROFILE_BASIS,
    "estimated": _PROFILE_BASIS,
    "emulated": frozenset({"assumed"}),
}
_RESTS = {
    "predicted": "Basis of the prediction",
    "estimated": "Basis of the estimate",
    "emulated": "Basis of the emulation",
}
_COLUMNS = 4  # more of them get a table of their own
_COLUMN_GAP = 3


class _Column(NamedTuple):
    title: str
    cell: Callable[[CandidateSummary], Text]


def print_report(analysis: Analysis, console: Console, again: str = "", *, full: bool = False) -> None:
    """Print the answer, and where `full` all the rest; `again` is the command that prints it another time."""
    print_answer(run_answer(analysis, again), console)
    if not full:
        return
    ascii_only = console.options.ascii_only
    with console.capture() if ascii_only else nullcontext() as captured:
        for block in _blocks(analysis, ascii_only, min(_WIDTH, console.width)):
            # Soft wrap is for lines to be copied: a command that was broken in two cannot be.
            console.print(block, soft_wrap=isinstance(block, Text))
    if captured is not None:
        text = captured.get().replace("  ±", " +-").replace("±", "+-")  # columns stay where they are
        console.file.write(text.encode(console.encoding, "replace").decode(console.encoding))


def _blocks(analysis: Analysis, ascii_only: bool, width: int) -> Iterator[RenderableType]:
    yield from ("", _title(analysis), "")
    text, kinds = said(analysis), _BASIS.get(analysis.run.origin, frozenset())
    basis = [notice.text for notice in text.notices if notice.kind in kinds]
    warnings = [notice.text for notice in text.notices if notice.kind not in kinds]
    if warnings:
        notes = Group(*map(_item, warnings))
        edge = box.ASCII if ascii_only else box.ROUNDED
        yield from (Panel(notes, title="Notes", title_align="left", border_style="yellow", box=edge), "")
    yield from (_verdict(text), "")
    yield from _settings(analysis.choice)
    yield from (_candidates(analysis, width), "")
    if analysis.levels:
        yield _heading("Concurrency levels: calls sent at once")
        side_by_side = 2 if len(analysis.levels) == 2 else 1  # more do not fit into 80 columns
        for start in range(0, len(analysis.levels), side_by_side):
            yield from (levels_report(analysis.levels[start : start + side_by_side]), "")
    if basis:
        yield from (Group(_heading(_RESTS[analysis.run.origin]), *map(_item, basis)), "")
    for pipeline in _pipelines(analysis):
        yield from (_time_split(analysis, pipeline, ascii_only, width), "")
    shown = {settings.candidate for settings in analysis.choice.settings}
    for candidate in analysis.candidates:
        for summary in candidate.pipelines:
            if candidate.name in shown and summary.median_path is not None and len(summary.median_path.steps) > 1:
                yield from (_critical_path(summary.median_path), "")
    yield Group(*(Text(plain(line), style="dim") for line in text.method))


def _title(analysis: Analysis) -> Group:
    run = analysis.run
    machine = machine_text(run)
    head = Text(plain(run.workload), style="bold").append(f": {run.origin}", style="bold")
    where = f"{machine}; " if machine else ""
    began = run.started_at[:16].replace("T", " ")  # of the clock on that machine
    line = f"{where}{repeats_text(analysis)} of {count(len(analysis.candidates), 'candidate')}; {began}"
    lines = [head, Text(plain(run.description))] if run.description else [head]
    return Group(*lines, Text(plain(line), style="dim"))


def _verdict(text: Said) -> Group:
    blocks: list[RenderableType] = [_heading("Path by path")]
    blocks += [Text(plain(sentence), style="bold") for sentence in text.choice]
    for path in text.paths:
        blocks += [Text(""), Text(plain(path.headline), style="bold")]
        blocks += [_item(sentence) for sentence in path.sentences]
    return Group(*blocks)


def _settings(choice: Choice) -> Iterator[RenderableType]:
    if choice.settings:
        yield _heading("Settings to copy")
    for one in choice.settings:
        yield Text(f'"{plain(one.candidate)}"')
        yield from (Text("  " + plain(line), style="cyan") for line in (*one.shell, *one.code))
        yield from (_item(remark) for remark in one.remarks)
    yield from (_item(remark) for remark in choice.remarks)
    if kinds := dict.fromkeys(text.kind for one in choice.settings for text in one.texts):
        yield _item(f"In full: in report.md, or with `slotwise report DIR --settings KIND`: {', '.join(kinds)}.")
    if choice.settings:
        yield ""


def _candidates(analysis: Analysis, width: int) -> Group:
    columns: list[_Column] = []
    for summary in _pipelines(analysis):
        what = "reply" if summary.path == "interactive" else "pipeline time"
        name = plain(summary.pipeline)
        columns.append(_Column(f"{name}:\n{what}", partial(_time, summary.pipeline)))
        if any(_of(candidate, summary.pipeline).first_token for candidate in analysis.candidates):
            columns.append(_Column(f"{name}:\nfirst token", partial(_first_token, summary.pipeline)))
        if any(_of(candidate, summary.pipeline).first_thought for candidate in analysis.candidates):
            columns.append(_Column(f"{name}:\nfirst thought", partial(_first_thought, summary.pipeline)))
    columns.append(_Column("all tokens\nper second", lambda c: _rate(c.throughput)))
    if any(summary.jobs_failed for candidate in analysis.candidates for summary in candidate.pipelines):
        columns.append(_Column("failed\njobs", lambda c: Text(str(sum(s.jobs_failed for s in c.pipelines)))))
    tables = [_table(analysis, columns[start : start + _COLUMNS], width) for start in range(0, len(columns), _COLUMNS)]
    both = any(s.time_by_profile for candidate in analysis.candidates for s in candidate.pipelines)
    below = "95 % intervals over draws and profile" if both else "its 95 % interval"
    caption = f"Candidates ({analysis.run.origin}; below each number {below})"
    return Group(_heading(caption), *(Padding(table, (int(n > 0), 0, 0, 0)) for n, table in enumerate(tables)))


def _table(analysis: Analysis, columns: Sequence[_Column], width: int) -> Group:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    cells = [[column.cell(candidate) for column in columns] for candidate in analysis.candidates]
    taken = sum(
        _COLUMN_GAP
        + max(len(line) for text in (column.title, *(row[n].plain for row in cells)) for line in text.split("\n"))
        for n, column in enumerate(columns)
    )
    labels, legend = numbered((plain(candidate.name) for candidate in analysis.candidates), width - taken)
    table.add_column("candidate", min_width=min(max(map(len, labels.values()), default=0), width - taken))
    for column in columns:
        table.add_column(column.title, justify="right")
    chosen = {settings.candidate for settings in analysis.choice.settings}
    for candidate, row in zip(analysis.candidates, cells, strict=True):
        name = Text(labels[plain(candidate.name)], style="bold" if candidate.name in chosen else "")
        slots = ", ".join(f"{use.slots}" for use in candidate.servers) or "0"
        name.append(f"\n{slots} {'slot' if slots == '1' else 'slots'}", style="dim")
        for levers in dict.fromkeys(use.levers for use in candidate.servers if use.levers):
            name.append(f"\n{levers_said(levers)}", style="dim")
        if any(use.extrapolated for use in candidate.servers):
            name.append("\nextrapolated", style="dim")
        table.add_row(name, *row)
    return Group(table, *(Text(line, style="dim") for line in legend))


def _time_split(analysis: Analysis, pipeline: PipelineSummary, ascii_only: bool, width: int) -> Group:
    rows = [(candidate.name, _of(candidate, pipeline.pipeline).job_parts) for candidate in analysis.candidates]
    longest_s = max((parts.total_s for _, parts in rows), default=0.0)
    who = "reply" if pipeline.path == "interactive" else "job"
    blocks: list[RenderableType] = [
        _heading(
            f"Where a {who} of {pipeline.pipeline} spends its time ({analysis.run.origin}, means on the critical path)"
        )
    ]
    name_width = min(_LONGEST_NAME, max((len(name) for name, _ in rows), default=0))
    bar_width = max(8, width - name_width - 14)  # room for two blanks and the total
    used = []
    for name, parts in rows:
        line = Text(f"{plain(name)[:name_width]:<{name_width}}  ", no_wrap=True)
        if parts.total_s <= 0:  # none ended well
            blocks.append(line.append("-"))
            continue
        for kind, cells in bar_cells(parts, longest_s, bar_width):
            line.append((kind.ascii if ascii_only else kind.glyph) * cells, style=kind.colour)
            used.append(kind)
        line.append(f" {seconds(parts.total_s)}")
        blocks.append(line)
        blocks.append(Padding(Text(parts_text(parts), style="dim"), (0, 0, 0, name_width + 2)))
    legend = Text("")
    for kind in KINDS:
        if kind in used:
            legend.append((kind.ascii if ascii_only else kind.glyph) + " ", style=kind.colour).append(f"{kind.label}  ")
    return Group(*blocks, legend)


def _critical_path(path: CriticalPath) -> Group:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("step")
    table.add_column("time", justify="right")
    table.add_column("share", justify="right")
    table.add_column("parts")
    for step in path.steps:
        name = f"{step.node}[{step.item}]" if step.item else step.node
        took_s = step.parts.total_s
        share = percent(took_s / path.pipeline_time_s) if path.pipeline_time_s > 0 else ""
        table.add_row(Text(plain(name)), seconds(took_s), share, Text(parts_text(step.parts, 0.005)))
    heading = f'Critical path, median job of {path.pipeline} under "{path.candidate}": {seconds(path.pipeline_time_s)}'
    return Group(_heading(heading), table)


def _pipelines(analysis: Analysis) -> tuple[PipelineSummary, ...]:
    return analysis.candidates[0].pipelines if analysis.candidates else ()


def _of(candidate: CandidateSummary, pipeline: str) -> PipelineSummary:
    return next(summary for summary in candidate.pipelines if summary.pipeline == pipeline)


def _time(pipeline: str, candidate: CandidateSummary) -> Text:
    return _estimate(_of(candidate, pipeline).time)


def _first_token(pipeline: str, candidate: CandidateSummary) -> Text:
    return _estimate(_of(candidate, pipeline).first_token)


def _first_thought(pipeline: str, candidate: CandidateSummary) -> Text:
    return _estimate(_of(candidate, pipeline).first_thought)


def _estimate(found: Estimate | None) -> Text:
    if found is None:
        return Text("-")
    text = Text(seconds(found.value))
    if found.profile_interval is not None:
        return text.append("\n" + "\n".join(both_text(found, seconds)), style="dim")
    if found.interval is not None:
        text.append(f"\n{_brief(ends_text(found.interval, seconds))}", style="dim")
    return text


def _rate(found: Estimate | None) -> Text:
    if found is None:
        return Text("-")
    text = Text(f"{found.value:.1f}")
    if found.profile_interval is not None:
        return text.append("\n" + "\n".join(both_text(found, "{:.2g}".format)), style="dim")
    if found.interval is not None:
        text.append(f"\n{ends_text(found.interval, '{:.1f}'.format)}", style="dim")
    return text


def _brief(ends: str) -> str:
    """Write the unit once where both have the same: `12.9 to 13.1 s`."""
    low, to, high = ends.partition(" to ")
    if not to:
        return ends
    low_number, _, low_unit = low.rpartition(" ")
    same = low_unit == high.rpartition(" ")[2] and " " not in low_number
    return f"{low_number} to {high}" if same else f"{low} to {high}"


def _heading(text: str) -> Text:
    return Text(plain(text), style="bold underline")


def _item(text: str) -> Table:
    """One bullet whose lines hang."""
    row = Table.grid(padding=(0, 1))
    row.add_row(Text("-"), Text(plain(text)))
    return row
