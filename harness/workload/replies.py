"""Which calls of a job are the reply that a person waits for (docs/reference/language/replies.md).

A run, a prediction and a search all ask `Replies`, so that a reply is the same thing in each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

from harness.core.records import CallRecord, JobRecord, Reply
from harness.workload.inline import Inlined
from harness.workload.mistakes import Mistakes
from harness.workload.networks import nx
from harness.workload.scenarios import scenarios
from harness.workload.schema import PipelineSpec

__all__ = ["Replies", "check_replies", "replies_of"]


class Replies(NamedTuple):
    """Where a pipeline's replies come from: nodes with `answers`, and those after which nothing comes."""

    answering: frozenset[str]
    last: frozenset[str]

    def nodes(self, job: JobRecord) -> frozenset[str]:
        """Return the nodes whose answers are this job's reply: the last ones where no node with `answers` ran."""
        return self.last if job.replied_s is None else self.answering

    def first_token_s(self, job: JobRecord, calls: Iterable[CallRecord]) -> float | None:
        """Return when the first token of a job's reply came; None where its calls were not streamed.

        Thinking is not shown, so it is a token of the answer.
        """
        first = self.first(job, calls)
        return None if first is None else first.first_token_s

    def first_thought_s(self, job: JobRecord, calls: Iterable[CallRecord]) -> float | None:
        """Return when the thinking before that token began; None where there was none."""
        first = self.first(job, calls)
        return None if first is None else first.first_thought_s

    def first(self, job: JobRecord, calls: Iterable[CallRecord]) -> Reply | None:
        """Return the reply to the call whose first token is that of a job's reply; None where none was streamed.

        Of a node with `answers` it is its last call, which is the reply; of last nodes the earliest to begin.
        """
        nodes = self.nodes(job)
        seen = [
            call.reply
            for call in calls
            if call.node in nodes and call.outcome == "ok" and call.reply.first_token_s is not None
        ]
        if job.replied_s is not None and seen:
            return max(seen, key=lambda reply: reply.end_s or 0.0)
        return min(seen, key=lambda reply: reply.first_token_s or 0.0, default=None)


def replies_of(graph: nx.DiGraph[str]) -> Replies:
    """Return where replies come from; `graph` is that of `harness.workload.dependencies`."""
    return Replies(
        frozenset(name for name, node in graph.nodes(data=True) if node["answers"]),
        frozenset(name for name in graph if all(again for *_, again in graph.out_edges(name, data="again"))),
    )


def check_replies(spec: PipelineSpec, pipeline: str, inlined: Inlined, mistakes: Mistakes) -> None:
    """Note nodes with `answers` where nobody waits, of which two may run, or that need not come last in a loop."""
    graph = inlined.graph
    answering = [name for name, node in graph.nodes(data=True) if node["answers"]]
    if spec.path == "batch":
        for name in answering:
            message = f'pipeline "{pipeline}": `answers` goes with path: interactive, found path: batch in "{name}"'
            mistakes.add((*inlined.written[name], "answers"), message, key=True)
        return
    together = [frozenset(answering) & frozenset(way.graph) for way in scenarios(graph)] if answering[1:] else []
    for first, second in combinations(answering, 2):
        if any({first, second} <= both for both in together):
            message = (
                f'"{first}" and "{second}" can both run in one job, so which of them is the reply? '
                "Leave `answers` with one of them (several only on different labels of a branch)"
            )
            mistakes.add((*inlined.written[second], "answers"), f'pipeline "{pipeline}": {message}', key=True)
    for name in answering:
        _check_loops(pipeline, name, inlined, mistakes)


def _check_loops(pipeline: str, name: str, inlined: Inlined, mistakes: Mistakes) -> None:
    """Which pass is the last one must be known when the reply is there, or a person would not know it either."""
    graph = inlined.graph
    before = nx.ancestors(graph, name) | {name}
    for loop, node in graph.nodes(data=True):
        if node["kind"] != "until" or node["max_iterations"] == 1 or name not in node["body"]:
            continue
        other = next((n for n in node["body"] if n not in before and graph.nodes[n]["kind"] != "until"), None)
        if other is not None:
            message = (
                f'"{name}" need not be the last node in the loop "{loop.removesuffix("/until")}", because of "{other}"'
                ", so it is not clear which answer is the reply; give `answers` to the loop's last node or to a "
                "node after the loop"
            )
            mistakes.add((*inlined.written[name], "answers"), f'pipeline "{pipeline}": {message}', key=True)
