"""Traces of one application as a draft: its graph, sizes, tool times, branch frequencies and arrivals."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import networkx as nx

from harness.errors import UserError
from harness.imports.account import ImportAccount, ImportCounts, ImportLoss, loss_line, lost_of, summed
from harness.imports.arrivals import MAX_JOBS, pipeline_of
from harness.imports.draft import Draft, Names, PipelineDraft, ask, note
from harness.imports.flows import Book
from harness.imports.mine import mine, occurrences
from harness.imports.read import Read, counts_of
from harness.imports.steps import Trace
from harness.units import count

__all__ = ["draft_traces"]

MAX_PIPELINES = 20
_AGAIN = "in further trials of the same jobs that Slotwise recorded"
_TOO_MANY = f"in traces beyond the first {MAX_JOBS:,}, the most jobs that a file may have"


def draft_traces(read: Read, source: str, name: str) -> Draft:
    """Return the draft of what was read; `name` is the workload's, its data files lie in the folder NAME-data."""
    groups: dict[str, list[Trace]] = {}
    for trace in read.traces:
        groups.setdefault(trace.root, []).append(trace)
    if len(groups) > MAX_PIPELINES:
        raise UserError(
            f"{source}: expected traces of one application, found {len(groups)} kinds of them (names of their root "
            f"spans, {', '.join(list(groups)[:3])} ...); at most {MAX_PIPELINES} become pipelines. "
            "Give the roots fewer names"
        )
    book = Book(name)
    pipelines: dict[str, PipelineDraft] = {}
    pipeline_names = Names()
    lost = list(read.troubles.lost)
    for root, traces in groups.items():
        try:
            nodes = mine([occurrences(trace.steps) for trace in traces])
        except nx.NetworkXUnfeasible:
            raise UserError(
                f'{source}: the traces of "{root}" agree on no order of their steps; import those of one version of '
                "the application"
            ) from None
        own = pipeline_names(root or name, "pipeline")
        pipeline = pipeline_of(own, traces, book.flow(nodes), read.found.resources, book.folder, book.files, read.what)
        pipelines[own] = pipeline
        if (jobs := pipeline.keys["jobs"]) < len(traces):
            lost.append(_trials(_TOO_MANY if jobs == MAX_JOBS else _AGAIN, traces, 1 - jobs / len(traces)))
    agents, inputs = book.agents()
    lost = list(summed([*lost, *book.lost]))
    context = 1 << max(8, ceil(1.25 * book.largest_call + 64).bit_length())
    if agents:
        first = next(iter(agents))
        spec, notes = agents[first]
        agents[first] = (spec, (
            note("A trace holds no prompts: each agent reads made-up text, as long as its prompts were. {NODE} stands "
                 "for the answer of a node, where you write your own."),
            ask(f"which local models stand for {', '.join(book.models) or 'theirs'}?", "the model of the server"),
            *notes,
        ))  # fmt: skip
    return Draft(
        name=name,
        description=f"Recovered from {count(len(read.traces), read.what)} of {Path(source).name}.",
        head=(
            note(
                f"Recovered from {count(len(read.traces), read.what)} with {count(read.found.spans, read.found.what)} "
                f"({Path(source).name}, {read.found.form}). What they do not say is marked QUESTION."
            ),
            *(note(f"Noticed: {line}") for line in read.warnings()),
            *(note(loss_line(loss)) for loss in lost),
            *(ask(text, guess) for text, guess in read.found.asks),
        ),
        pipelines=pipelines,
        agents=agents,
        inputs={**inputs, **book.texts},
        servers={name: book.server(slots, context) for name, slots in (("one-slot", 1), ("four-slot", 4))},
        files=book.files,
        account=ImportAccount(found=read.counts(), lost=tuple(lost)),
    )


def _trials(why: str, traces: list[Trace], share: float) -> ImportLoss:
    """Return the work of the traces that are no jobs: as much as that of the others."""
    every = counts_of(traces)
    parts = {figure: share * (getattr(every, figure) or 0) for figure in ImportCounts._fields if figure != "width"}
    return lost_of(why, parts)
