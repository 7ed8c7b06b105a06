"""Look at a workload while it is written: its mistakes at their places, its graphs, and what can be turned in it."""

from __future__ import annotations

import re
from typing import NamedTuple

from harness.app.workload import Written, load
from harness.errors import UserError
from harness.report.graph_drawing import DrawnGraph, drawn_graph
from harness.workload.dependencies import dependencies
from harness.workload.dials import LeverDial, PipelineDial, ServerDial, dials_of, lever_dials
from harness.workload.lines import Lines, lines_of
from harness.workload.load import Loaded
from harness.workload.source import parse_yaml

__all__ = ["FoundMistake", "Look", "NodeLines", "look", "mistakes_in"]


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
    lines: Lines


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
    places = (
        (pipeline, node, lines_of(source, written.text, at)) for (pipeline, node), at in loaded.written.items()
    )
    return tuple(NodeLines(pipeline, node, lines) for pipeline, node, lines in places if lines is not None)
