"""The compiled agent graph: tuples and indices, nothing to look up by name while the walk runs.

`harness.workload.build` checks the graph with networkx and compiles it into these (docs/design.md, "Compile once").
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.core.records import Path

__all__ = ["Arrival", "Graph", "Node", "Pipeline"]


class Node(NamedTuple):
    """A vertex: `agent` makes `width` calls at once, `tool` waits `delay_s`."""

    name: str
    kind: Literal["agent", "tool"]
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]
    width: int = 1  # calls made when it becomes ready: 1, or the number of items it fans out over
    delay_s: float = 0.0  # tools only
    agent: str = ""  # agents only
    model: str = ""  # "" = whatever model the server was started with
    timeout_s: float | None = None  # per attempt, counted from its dispatch
    expected_prompt_tokens: int | None = None
    expected_output_tokens: int | None = None


class Graph(NamedTuple):
    """Nodes in topological order; indices in `predecessors` and `successors` point into `nodes`."""

    nodes: tuple[Node, ...]


class Arrival(NamedTuple):
    """When jobs of a pipeline start.

    `due_s` lists the intended starts (open loop). With `users > 0` it is empty: that many users each start a job at 0
    and the next `think_s` after the last one ended (closed loop). `every_s` with `until` starts one job every so often.
    """

    due_s: tuple[float, ...] = ()
    users: int = 0
    think_s: float = 0.0
    every_s: float | None = None


class Pipeline(NamedTuple):
    """A graph with its arrivals. Exactly one of `jobs` and `until` bounds it.

    `after` holds the whole pipeline back: its arrivals count from the end of that pipeline.
    """

    name: str
    path: Path
    graph: Graph
    arrival: Arrival
    jobs: int | None  # how many jobs in all
    until: int | None = None  # index of the pipeline whose end stops new arrivals (`while:` in the workload)
    after: int | None = None  # index of the pipeline that must have ended first
