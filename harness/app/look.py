"""Look at a workload while it is written: its mistakes at their places, its graphs, and what can be turned in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from harness.app.workload import Written, load
from harness.errors import UserError
from harness.report.graph_drawing import DrawnGraph, drawn_graph
from harness.workload.dependencies import dependencies
from harness.workload.dials import LeverDial, PipelineDial, ServerDial, dials_of, lever_dials
from harness.workload.lines import LineRange, lines_of
from harness.workload.load import Loaded
from harness.workload.source import parse_yaml, read_text

__all__ = ["FoundMistake", "Look", "NodeLines", "begun", "look", "mistakes_in"]

NEW = """\
version: 1
name: my-pipeline

pipelines:
  chat:
    path: interactive
    jobs: 6
    arrival: {closed: 1, think_s: 1}
    goal: {p50_s: 2}
    nodes:
      answer: {agent: helper}

agents:
  helper: {prompt: "Answer in one sentence.", output_tokens: 60}
"""


class FoundMistake(NamedTuple):
    """A mistake as `slotwise check` prints it, taken apart."""

    line: int  # from 1; 0: it has no place in this text
    column: int  # from 1; 0 likewise
    message: str  # without the place where that is in this text
    whole: str  # the line that `slotwise check` prints


class NodeLines(NamedTuple):
    """Where a node is written."""

    pipeline: str
    node: str
    lines: LineRange


class Look(NamedTuple):
    """What is seen of a text. Where it has mistakes there is nothing else."""

    mistakes: tuple[FoundMistake, ...]
    name: str = ""
    candidates: tuple[str, ...] = ()
    graphs: tuple[DrawnGraph, ...] = ()
    nodes: tuple[NodeLines, ...] = ()
    servers: tuple[ServerDial, ...] = ()
    pipelines: tuple[PipelineDial, ...] = ()
    levers: tuple[LeverDial, ...] = ()


def begun(file: Path | None) -> Written:
    """Return the workload of a file, whatever is in it; a small one to begin with where there is no file yet.

    Raises:
        WorkloadError: it cannot be read.
        UserError: there is no folder for a new file.
    """
    if file is None:
        return Written(Path("new-pipeline.yaml"), NEW)
    if not file.exists() and not file.parent.is_dir():
        raise UserError(f"{file.parent}: expected a folder for a new workload, found none")
    return Written(file, read_text(file) if file.exists() else NEW)


def look(written: Written) -> Look:
    """Check a text as `slotwise check` does, with the same messages at the same places. Nothing is raised for one."""
    try:
        loaded = load(written)
    except UserError as error:
        return Look(mistakes_in(error, written))
    servers, pipelines = dials_of(loaded)
    return Look(
        mistakes=(),
        name=loaded.workload.name,
        candidates=tuple(plan.name for plan in loaded.plans),
        graphs=tuple(
            drawn_graph(name, dependencies(loaded.workload, name), loaded.graphs[name])
            for name in loaded.workload.pipelines
        ),
        nodes=_nodes(loaded, written),
        servers=servers,
        pipelines=pipelines,
        levers=lever_dials(),
    )


def mistakes_in(error: UserError, written: Written) -> tuple[FoundMistake, ...]:
    """Take an error about a text apart, line by line."""
    place = re.compile(rf"{re.escape(str(written.path))}(?::(\d+):(\d+))?: (.*)", re.DOTALL)
    found = []
    for line in str(error).split("\n"):
        match = place.fullmatch(line)
        if match:
            found.append(FoundMistake(int(match[1] or 0), int(match[2] or 0), match[3], line))
        else:
            found.append(FoundMistake(0, 0, line, line))
    return tuple(found)


def _nodes(loaded: Loaded, written: Written) -> tuple[NodeLines, ...]:
    source = parse_yaml(written.text, str(written.path))
    places = ((pipeline, node, lines_of(source, written.text, at)) for (pipeline, node), at in loaded.written.items())
    return tuple(NodeLines(pipeline, node, lines) for pipeline, node, lines in places if lines is not None)
