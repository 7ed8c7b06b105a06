"""A recommendation for people (terminal, Markdown) and programs (JSON): the same sections in both texts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.analysis.model import Analysis
from harness.core.levers import levers_said
from harness.deploy.kinds import kinds_listed
from harness.recommend.model import (
    Confirmation,
    LoadRow,
    PathUse,
    Point,
    Recommendation,
    UsefulConcurrency,
    Users,
)
from harness.report.answer import answer_markdown, print_answer
from harness.report.summary import summary, to_plain
from harness.report.text import markdown, numbered, plain
from harness.units import UNIT, seconds, size
from harness.wording.figures import server_text
from harness.wording.recommendations import recommended
from harness.wording.said import said
from harness.wording.search_answer import search_answer

__all__ = ["Section", "markdown_recommendation", "print_recommendation", "recommendation_text", "sections_of"]


_COLUMN_GAP = 3  # of a printed table


class _Table(NamedTuple):
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Section(NamedTuple):
    """One part of what was found, as all reports have it."""

    title: str
    lead: tuple[str, ...] = ()  # said first, and loud
    table: _Table | None = None
    items: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    key: str = ""  # of a section of its own in a page: its anchor, and the chart's name
    short: str = ""  # title in the page's list of contents


def print_recommendation(
    recommendation: Recommendation, console: Console, again: str = "", *, full: bool = False
) -> None:
    """Print the answer, and where `full` all the rest; `again` is the command that prints it another time."""
    print_answer(search_answer(recommendation, again), console)
    if not full:
        return
    console.print()
    ascii_only = console.options.ascii_only
    with console.capture() if ascii_only else nullcontext() as captured:
        console.print(Text(plain(_title(recommendation)), style="bold"))
        console.print(Text(plain(_where(recommendation)), style="dim"))
        for section in sections_of(recommendation):
            console.print(_block(section, ascii_only, console.width))
            for line in section.code:
                console.print(Text("  " + plain(line), style="cyan"), soft_wrap=True)  # to be copied: never broken
    if captured is not None:
        console.file.write(captured.get().encode(console.encoding, "replace").decode(console.encoding))


def markdown_recommendation(recommendation: Recommendation) -> str:
    """Return it as Markdown."""
    lines = [f"# {markdown(_title(recommendation))}", "", *answer_markdown(search_answer(recommendation))]
    lines += [markdown(_where(recommendation)), ""]
    for section in sections_of(recommendation):
        lines += [f"## {markdown(section.title)}", ""]
        for text in section.lead:
            lines += [f"**{markdown(text)}**", ""]
        if section.table:
            lines += ["| " + " | ".join(markdown(cell) for cell in section.table.header) + " |"]
            lines += ["|" + "---|" * len(section.table.header)]
            lines += ["| " + " | ".join(markdown(cell) for cell in row) + " |" for row in section.table.rows]
            lines += [""]
        if section.items:
            lines += [*(f"- {markdown(text)}" for text in section.items), ""]
        if section.code:
            lines += ["```", *(plain(line) for line in section.code), "```", ""]
    analysis = (recommendation.confirmation or recommendation).analysis
    for one in analysis.choice.settings:
        for whole in one.texts:
            where = f": {whole.path}" if whole.path else ""
            lines += [f"## {markdown(one.candidate)} as {whole.kind}{markdown(where)}", ""]
            lines += ["```", *(plain(line) for line in whole.text.splitlines()), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def recommendation_text(recommendation: Recommendation) -> str:
    """Return it as JSON: raw numbers, with the whole analysis of the finalists in it."""
    found: dict[str, Any] = to_plain(recommendation)
    text = recommended(recommendation)
    found["answer_text"] = to_plain(search_answer(recommendation))
    found |= {"notes": text.notes, "goals": text.goals, "left_out": text.left_out, "search": text.search}
    found |= {"front_why": text.front, "memory": text.memory, "analysis": summary(recommendation.analysis)}
    for part, sentence in (("useful_concurrency", text.useful_concurrency), ("users", text.users)):
        if found[part] is not None:
            found[part]["sentence"] = sentence
    for part, sentences in (("changes", text.changes), ("bounds", text.bounds), ("own", text.own)):
        for row, sentence in zip(found[part], sentences, strict=True):
            row["sentence"] = sentence
    if recommendation.confirmation is not None:
        found["confirmation"]["analysis"] = summary(recommendation.confirmation.analysis)
        found["confirmation"]["sentences"] = text.confirmation
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def _title(recommendation: Recommendation) -> str:
    return f"{recommendation.workload}: recommendation ({recommendation.origin})"


def _where(recommendation: Recommendation) -> str:
    return f'Profile "{recommendation.profile}": {recommendation.machine}'


def sections_of(recommendation: Recommendation) -> Iterator[Section]:
    """Yield what was found, in order."""
    confirmation = recommendation.confirmation
    analysis = confirmation.analysis if confirmation else recommendation.analysis
    text, verdict = recommended(recommendation), said(analysis)
    if text.notes:
        yield Section("Notes", items=text.notes)
    yield Section("Answer", lead=verdict.choice, table=_uses(recommendation.uses))
    if text.goals:
        yield Section("Goals", items=text.goals, key="goals", short="Goals")
    if confirmation:
        yield _confirmation(confirmation, text.confirmation)
    for path, words in zip(analysis.paths, verdict.paths, strict=True):
        yield Section(f"The {path.path} path", lead=(words.headline,), items=words.sentences)
    if analysis.choice.settings:
        yield _settings(analysis)
    if recommendation.front:
        yield _front(recommendation.front, recommendation.paths, text.front)
    if recommendation.useful_concurrency:
        yield _useful(recommendation.useful_concurrency, recommendation.paths, text.useful_concurrency)
    if recommendation.users:
        yield _users(recommendation.users, recommendation.paths, text.users)
    if text.changes:
        yield Section("Sensitivity", items=text.changes, key="changes", short="Sensitivity")
    if recommendation.load:
        yield _load(recommendation.load, recommendation.paths)
    if text.bounds:
        yield Section("Lower bounds", items=text.bounds, key="bounds", short="Lower bounds")
    looked = (*text.search, *text.own, *(f"Left out: {item}." for item in text.left_out))
    yield Section("The search", items=(*looked, text.memory), key="search", short="The search")
    predicted = said(recommendation.analysis)
    if predicted.notices:
        notices = tuple(notice.text for notice in predicted.notices)
        yield Section("Basis of the prediction", items=(*notices, *predicted.method), key="basis", short="Basis")


def _uses(uses: Sequence[PathUse]) -> _Table:
    rows = []
    for use in uses:
        about = ["half of the cores" if use.threads == "half" else f"{use.threads} threads"] if use.threads else []
        about += [use.choice] if use.choice else []
        about += [levers_said(use.levers)] if use.levers else []
        each = " each" if use.choice else ""
        servers = " + ".join(map(server_text, use.servers, use.machines or (None,) * len(use.servers)))
        rows.append(
            (
                f"{use.path} ({', '.join(use.pipelines)})",
                f"{servers} ({', '.join(about)})" if about else servers,
                f"{use.slots}{each}",
                "" if use.context_tokens is None else str(use.context_tokens),
                use.concurrency,
                "no limit" if use.limit is None else f"{use.limit}{each}",
                use.scheduling,
            )
        )
    return _Table(("path", "server", "slots", "context", "concurrency", "in flight", "scheduling"), tuple(rows))


def _confirmation(confirmation: Confirmation, sentences: tuple[str, ...]) -> Section:
    rows = tuple(
        (
            difference.candidate,
            difference.pipeline,
            seconds(difference.predicted_s),
            seconds(difference.measured_s),
            f"{difference.error * 100:+.1f} %",
        )
        for difference in confirmation.differences
    )
    table = _Table(("candidate", "pipeline", "predicted", confirmation.origin, "error"), rows)
    return Section(
        f"Confirmation ({confirmation.origin})",
        table=table,
        items=(*sentences, f"Every call: {confirmation.folder}"),
    )


def _settings(analysis: Analysis) -> Section:
    lines: list[str] = []
    remarks: list[str] = []
    for one in analysis.choice.settings:
        lines += [f"# {one.candidate}"] if len(analysis.choice.settings) > 1 else []
        lines += [*one.shell, *one.code]
        lines += [line for text in one.texts if text.kind == "gateway" for line in ("", *text.text.splitlines())]
        remarks += one.remarks
    whole = f"In full, as files and code: --settings {kinds_listed()}."
    return Section(
        "Settings to copy", items=(*dict.fromkeys(remarks), *analysis.choice.remarks, whole), code=tuple(lines)
    )


def _front(points: Sequence[Point], paths: Sequence[str], why: str) -> Section:
    known = any(point.memory_bytes is not None for point in points)
    header = ("candidate", *paths, *(["memory"] if known else []), "")
    rows = []
    for point in points:
        remarks = [
            *(["chosen"] if point.chosen else []),
            *([] if point.on_front else ["simpler"]),
            *([] if point.meets_goals else ["misses goal"]),
        ]
        memory = [] if not known else ["-" if point.memory_bytes is None else size(point.memory_bytes)]
        rows.append((point.candidate, *map(_time, point.times_s), *memory, ", ".join(remarks)))
    what = " and ".join([*(f"{path} time" for path in paths), *(["memory"] if known else [])])
    title = f"Pareto front: {what} (means over the seeds)"
    return Section(
        title, lead=(why,) if why else (), table=_Table(header, tuple(rows)), key="front", short="Pareto front"
    )


def _useful(found: UsefulConcurrency, paths: Sequence[str], sentence: str) -> Section:
    rows = tuple(
        (
            "no limit" if row.in_flight is None else str(row.in_flight),
            f"{row.tokens_per_s:.1f}",
            *map(_time, row.times_s),
        )
        for row in found.rows
    )
    header = ("in flight", "tokens per second", *(f"{path} path" for path in paths))
    return Section(
        "Useful concurrency",
        lead=(sentence,),
        table=_Table(header, rows),
        key="useful",
        short="Useful concurrency",
    )


def _users(users: Users, paths: Sequence[str], sentence: str) -> Section:
    rows = tuple(
        (
            str(row.users),
            f"{row.tokens_per_s:.1f}",
            *map(_time, row.times_s),
            "" if row.meets_goals else "misses goal",
        )
        for row in users.rows
    )
    header = ("people", "tokens per second", *(f"{path} path" for path in paths), "")
    return Section(
        "How many people it can serve", lead=(sentence,), table=_Table(header, rows), key="users", short="People"
    )


def _load(rows: Sequence[LoadRow], paths: Sequence[str]) -> Section:
    header = (
        "arrivals",
        *(f"{path}: slowest" for path in paths),
        *(f"{path}: the answer" for path in paths),
        "failing",
    )
    table = tuple(
        (f"{row.rate:g} x", *map(_ratio, row.spread), *map(_ratio, row.answer), str(row.failing)) for row in rows
    )
    lead = "Times relative to the fastest finalist, by arrival rate:"
    return Section("Load", lead=(lead,), table=_Table(header, table), key="load", short="Load")


def _time(value_s: float) -> str:
    return seconds(value_s) if math.isfinite(value_s) else "-"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "fails"


def _block(section: Section, ascii_only: bool, width: int) -> Group:
    blocks: list[RenderableType] = [Text(""), Text(plain(section.title), style="bold underline")]
    blocks += [Text(plain(text), style="bold green" if section.title == "Answer" else "bold") for text in section.lead]
    if section.table:
        blocks += _printed(section.table, ascii_only, width)
    for text in section.items:
        item = Table.grid(padding=(0, 1))
        item.add_row(Text("-"), Text(plain(text)))
        blocks.append(item)
    return Group(*blocks)


def _printed(table: _Table, ascii_only: bool, width: int) -> list[RenderableType]:
    """Lay a table out so that no word breaks: with numbers for long names, or as lines where that is too wide too."""
    header = [plain(title) for title in table.header]
    rows = [[plain(cell) for cell in row] for row in table.rows]
    legend: tuple[str, ...] = ()
    if _least_width(header, rows) > width:
        labels, legend = numbered((row[0] for row in rows), 0)
        rows = [[labels[row[0]], *row[1:]] for row in rows]
        if _least_width(header, rows) > width:
            lines = [
                f"{title}: {cell}"
                for row in table.rows
                for title, cell in zip(header, map(plain, row), strict=True)
                if title and cell
            ]
            return [Text(line) for line in lines]
    least = _least_widths(header, rows)
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    while sum(widths) + _COLUMN_GAP * (len(widths) - 1) > width:  # the column with most to spare gives way
        widths[max(range(len(widths)), key=lambda n: widths[n] - least[n])] -= 1
    printed = Table(box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, title in enumerate(header):
        printed.add_column(Text(title), justify="left" if number == 0 else "right", width=widths[number])
    for row in rows:
        printed.add_row(*map(Text, row))
    return [printed, *(Text(line, style="dim") for line in legend)]


def _least_width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    widths = _least_widths(header, rows)
    return sum(widths) + _COLUMN_GAP * (len(widths) - 1)


def _least_widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(_longest_word, cells)) for cells in zip(header, *rows, strict=True)]


def _longest_word(text: str) -> int:
    """Return the length of what stays on one line: a word, or a number with its unit."""
    return max(map(len, UNIT.sub("\u00a0", text).split(" ")))
