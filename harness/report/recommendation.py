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
from harness.report.text import markdown, plain
from harness.units import seconds, size
from harness.wording.figures import server_text
from harness.wording.recommendations import recommended
from harness.wording.said import said
from harness.wording.search_answer import search_answer

__all__ = ["markdown_recommendation", "print_recommendation", "recommendation_text"]


class _Table(NamedTuple):
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class _Section(NamedTuple):
    title: str
    lead: tuple[str, ...] = ()  # said first, and loud
    table: _Table | None = None
    items: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


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
        for section in _sections(recommendation):
            console.print(_block(section, ascii_only))
            for line in section.code:
                console.print(Text("  " + plain(line), style="cyan"), soft_wrap=True)  # to be copied: never broken
    if captured is not None:
        console.file.write(captured.get().encode(console.encoding, "replace").decode(console.encoding))


def markdown_recommendation(recommendation: Recommendation) -> str:
    """Return it as Markdown."""
    lines = [f"# {markdown(_title(recommendation))}", "", *answer_markdown(search_answer(recommendation))]
    lines += [markdown(_where(recommendation)), ""]
    for section in _sections(recommendation):
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
    for part, sentences in (("changes", text.changes), ("bounds", text.bounds)):
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


def _sections(recommendation: Recommendation) -> Iterator[_Section]:
    confirmation = recommendation.confirmation
    analysis = confirmation.analysis if confirmation else recommendation.analysis
    text, verdict = recommended(recommendation), said(analysis)
    if text.notes:
        yield _Section("Notes", items=text.notes)
    yield _Section("Answer", lead=verdict.choice, table=_uses(recommendation.uses))
    if text.goals:
        yield _Section("Goals", items=text.goals)
    if confirmation:
        yield _confirmation(confirmation, text.confirmation)
    for path, words in zip(analysis.paths, verdict.paths, strict=True):
        yield _Section(f"The {path.path} path", lead=(words.headline,), items=words.sentences)
    if analysis.choice.settings:
        yield _settings(analysis)
    if recommendation.front:
        yield _front(recommendation.front, recommendation.paths, text.front)
    if recommendation.useful_concurrency:
        yield _useful(recommendation.useful_concurrency, recommendation.paths, text.useful_concurrency)
    if recommendation.users:
        yield _users(recommendation.users, recommendation.paths, text.users)
    if text.changes:
        yield _Section("When the answer would change", items=text.changes)
    if recommendation.load:
        yield _load(recommendation.load, recommendation.paths)
    if text.bounds:
        yield _Section("What no routing can beat", items=text.bounds)
    looked = (*text.search, *(f"Left out: {item}." for item in text.left_out))
    yield _Section("What was looked at", items=(*looked, text.memory))
    predicted = said(recommendation.analysis)
    if predicted.notices:
        notices = tuple(notice.text for notice in predicted.notices)
        yield _Section("What the prediction rests on", items=(*notices, *predicted.method))


def _uses(uses: Sequence[PathUse]) -> _Table:
    rows = []
    for use in uses:
        about = ["half of the cores" if use.threads == "half" else f"{use.threads} threads"] if use.threads else []
        about += [use.choice] if use.choice else []
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
    return _Table(("path", "server", "slots", "context", "cap", "in flight", "order"), tuple(rows))


def _confirmation(confirmation: Confirmation, sentences: tuple[str, ...]) -> _Section:
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
    return _Section(
        f"Confirmation ({confirmation.origin})",
        table=table,
        items=(*sentences, f"Every call: {confirmation.folder}"),
    )


def _settings(analysis: Analysis) -> _Section:
    lines: list[str] = []
    remarks: list[str] = []
    for one in analysis.choice.settings:
        lines += [f"# {one.candidate}"] if len(analysis.choice.settings) > 1 else []
        lines += [*one.shell, *one.code]
        remarks += one.remarks
    whole = f"Whole, as files and code: --settings {kinds_listed()}."
    return _Section(
        "Settings to copy", items=(*dict.fromkeys(remarks), *analysis.choice.remarks, whole), code=tuple(lines)
    )


def _front(points: Sequence[Point], paths: Sequence[str], why: str) -> _Section:
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
    what = " against ".join(f"{path} time" for path in paths) + (" against memory" if known else "")
    title = f"Pareto front: {what} (means over the seeds)"
    return _Section(title, lead=(why,) if why else (), table=_Table(header, tuple(rows)))


def _useful(found: UsefulConcurrency, paths: Sequence[str], sentence: str) -> _Section:
    rows = tuple(
        (
            "no limit" if row.in_flight is None else str(row.in_flight),
            f"{row.tokens_per_s:.1f}",
            *map(_time, row.times_s),
        )
        for row in found.rows
    )
    header = ("in flight", "tokens per second", *(f"{path} path" for path in paths))
    return _Section("How many agents are worth attaching", lead=(sentence,), table=_Table(header, rows))


def _users(users: Users, paths: Sequence[str], sentence: str) -> _Section:
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
    return _Section("How many people it carries", lead=(sentence,), table=_Table(header, rows))


def _load(rows: Sequence[LoadRow], paths: Sequence[str]) -> _Section:
    header = (
        "arrivals",
        *(f"{path}: slowest" for path in paths),
        *(f"{path}: the answer" for path in paths),
        "failing",
    )
    table = tuple(
        (f"{row.rate:g} x", *map(_ratio, row.spread), *map(_ratio, row.answer), str(row.failing)) for row in rows
    )
    lead = "Times of the fastest among the finalists, by the rate at which jobs come:"
    return _Section("Load", lead=(lead,), table=_Table(header, table))


def _time(value_s: float) -> str:
    return seconds(value_s) if math.isfinite(value_s) else "-"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "fails"


def _block(section: _Section, ascii_only: bool) -> Group:
    blocks: list[RenderableType] = [Text(""), Text(plain(section.title), style="bold underline")]
    blocks += [Text(plain(text), style="bold green" if section.title == "Answer" else "bold") for text in section.lead]
    if section.table:
        table = Table(box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for number, title in enumerate(section.table.header):
            table.add_column(Text(plain(title)), justify="left" if number == 0 else "right", overflow="fold")
        for row in section.table.rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        blocks.append(table)
    for text in section.items:
        item = Table.grid(padding=(0, 1))
        item.add_row(Text("-"), Text(plain(text)))
        blocks.append(item)
    return Group(*blocks)
