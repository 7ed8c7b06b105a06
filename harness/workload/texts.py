"""The text that flows from node to node of a job. The engine counts; here are the words.

What a node that was skipped or dropped would have said is absent: a template that names it gets no text, and joined
answers list those that there are. When a loop begins its next pass, what its last one gave becomes `previous`, and the
answers of its nodes are absent again until they are given anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from harness.workload.reads import Loop, Readable, Reads
from harness.workload.rules import MAX_ITEM_CHARS, json_list

__all__ = ["Render", "Texts"]

# Renders one message: (pipeline, node, number of the item, texts by the name that a template has for them) -> system
# and user text. Where the node fans out over a list that another one answered, `item` is among the names.
Render = Callable[[str, str, int, Mapping[str, tuple[str, ...]]], tuple[str | None, str]]

Key = tuple[str, str]  # pipeline, node (or loop)


class _Job(NamedTuple):
    """One job's texts."""

    outputs: dict[str, dict[int, str]]  # node -> item -> answer
    runs: dict[str, int]  # node -> the run that these answers are from
    passes: dict[str, int]  # loop -> the run of the node that began its pass
    previous: dict[str, tuple[str, ...]]  # loop -> what its last pass gave


class Texts:
    """Outputs of the jobs in progress, by pipeline and job, node and item.

    Args:
        render: fills the templates in.
        uses: what each node's templates can name.
        loops: what runs again in each loop, and what a pass of it gives.
        lists: the node whose answer is the list that a node fans out over.
    """

    def __init__(
        self,
        render: Render,
        uses: Mapping[Key, Readable],
        loops: Mapping[Key, Loop] | None = None,
        lists: Mapping[Key, str] | None = None,
    ) -> None:
        self._render = render
        self._uses = uses
        self._loops = loops or {}
        self._lists = lists or {}
        self._jobs: dict[tuple[str, int], _Job] = {}

    def prompt(self, pipeline: str, job: int, node: str, item: int, iteration: int = 0) -> tuple[str | None, str]:
        """Return the system message (or None) and the user message of one call.

        Args:
            iteration: how often the node has run before in this job.
        """
        texts = self._jobs.setdefault((pipeline, job), _Job({}, {}, {}, {}))
        use = self._uses[pipeline, node]
        if use.starts and iteration > texts.passes.setdefault(use.loop, 0):
            self._next_pass(texts, pipeline, use.loop, iteration)
        if iteration > texts.runs.setdefault(node, 0):
            texts.runs[node] = iteration
            texts.outputs.pop(node, None)
        named = {name: _read(texts, reads) for name, reads in use.names.items()}
        if "input" in named:
            named["previous"] = texts.previous.get(use.loop) or named["input"]
        if source := self._lists.get((pipeline, node)):
            items = self._items(texts, source)
            named["item"] = (items[item % len(items)],)
        return self._render(pipeline, node, item, named)

    def keep(self, pipeline: str, job: int, node: str, item: int, text: str, iteration: int = 0) -> None:
        """Keep what a model answered, for the nodes after it; not of a job that has ended, nor of a run before."""
        texts = self._jobs.get((pipeline, job))
        if texts is not None and texts.runs.get(node, 0) == iteration:
            texts.outputs.setdefault(node, {})[item] = text

    def forget(self, pipeline: str, job: int) -> None:
        """Drop the texts of a job that has ended."""
        self._jobs.pop((pipeline, job), None)

    def _next_pass(self, texts: _Job, pipeline: str, name: str, iteration: int) -> None:
        loop = self._loops[pipeline, name]
        texts.passes[name] = iteration
        texts.previous[name] = _read(texts, loop.result)
        for node in loop.body:
            texts.outputs.pop(node, None)

    def _items(self, texts: _Job, source: str) -> tuple[str, ...]:
        """Return the list that a node answered; where it is none, the whole answer as the only item."""
        answer = "".join(texts.outputs.get(source, {}).values())
        return json_list(answer) or (answer[:MAX_ITEM_CHARS],)


def _read(texts: _Job, reads: Reads) -> tuple[str, ...]:
    found: list[str] = []
    for result in reads:
        found += _outputs(texts, result.main) or _outputs(texts, result.otherwise)
    return tuple(found)


def _outputs(texts: _Job, nodes: tuple[str, ...]) -> list[str]:
    return [items[i] for node in nodes if (items := texts.outputs.get(node)) for i in sorted(items)]
