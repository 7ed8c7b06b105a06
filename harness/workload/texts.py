"""The text that flows from node to node of a job. The engine counts; here are the words.

What a node that was skipped or dropped would have said is absent: a template that names it gets no text, and joined
answers list those that there are. When a loop begins its next pass, what its last one gave becomes `previous`, and the
answers of its nodes are absent again until they are given again. A loop in a loop begins again in every pass of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from harness.workload.inputs import job_key
from harness.workload.reads import Loop, Readable, Reads
from harness.workload.rules import MAX_ITEM_CHARS, json_list

__all__ = ["Render", "Texts", "listed"]

T = TypeVar("T")  # what stands for a text: itself in a run, its length in a simulation
M = TypeVar("M")  # what stands for a message

# Renders one message: (pipeline, whose documents it reads (`inputs.job_key`), node, number of the item, texts by the
# name that a template has for them) -> system and user text. Where the node fans out over a list that another one
# answered, `item` is among the names.
Render = Callable[[str, int, str, int, Mapping[str, tuple[T, ...]]], M]

Key = tuple[str, str]  # pipeline, node (or loop)


class _Job(Generic[T]):
    """One job's texts."""

    __slots__ = ("outputs", "passes", "previous", "runs")

    def __init__(self) -> None:
        self.outputs: dict[str, dict[int, T]] = {}  # node -> item -> answer
        self.runs: dict[str, int] = {}  # node -> the run that these answers are from
        self.passes: dict[
            str, tuple[int, ...]
        ] = {}  # loop -> passes that had ended when it began its own, as in a call
        self.previous: dict[str, tuple[T, ...]] = {}  # loop -> what its last pass gave


def listed(answers: Sequence[str]) -> tuple[str, ...]:
    """Return the list that a node answered; where it is none, the whole answer as the only item."""
    answer = "".join(answers)
    return json_list(answer) or (answer[:MAX_ITEM_CHARS],)


class Texts(Generic[T, M]):
    """Outputs of the jobs in progress, by pipeline and job, node and item.

    Args:
        render: fills the templates in.
        uses: what each node's templates can name.
        loops: what runs again in each loop, and what a pass of it gives.
        lists: the node whose answer is the list that a node fans out over.
        listed: the items of that list.
    """

    def __init__(
        self,
        render: Render[T, M],
        uses: Mapping[Key, Readable],
        loops: Mapping[Key, Loop] | None = None,
        lists: Mapping[Key, str] | None = None,
        *,
        listed: Callable[[Sequence[T]], tuple[T, ...]],
    ) -> None:
        self._render = render
        self._uses = uses
        self._loops = loops or {}
        self._lists = lists or {}
        self._listed = listed
        self._jobs: dict[tuple[str, int], _Job[T]] = {}

    def prompt(
        self, pipeline: str, job: int, node: str, item: int, iteration: int, session: int, passes: tuple[int, ...]
    ) -> M:
        """Return the message of one call.

        Args:
            iteration: how often the node has run before in this job.
            session: the conversation that the job is a turn of; -1 = none.
            passes: that have ended in this job, of each loop around the node, the outermost first.
        """
        texts, use = self.starts(pipeline, job, node, iteration, passes), self._uses[pipeline, node]
        named = {name: _read(texts, reads) for name, reads in use.names.items()}
        if "input" in named:
            named["previous"] = (texts.previous.get(use.loops[-1]) if use.loops else None) or named["input"]
        if source := self._lists.get((pipeline, node)):
            items = self._listed(tuple(texts.outputs.get(source, {}).values()))
            named["item"] = (items[item % len(items)],)
        return self._render(pipeline, job_key(job, session), node, item, named)

    def starts(self, pipeline: str, job: int, node: str, iteration: int, passes: tuple[int, ...]) -> _Job[T]:
        """Note that a call of a node is made, for those that will read its answer; `prompt` does it by itself."""
        key = (pipeline, job)
        texts = self._jobs.get(key)
        if texts is None:
            texts = self._jobs[key] = _Job()
        if loops := self._uses[pipeline, node].loops:
            self._begin(texts, pipeline, loops, passes)
        if iteration > texts.runs.get(node, -1):
            texts.runs[node] = iteration
            texts.outputs.pop(node, None)
        return texts

    def keep(self, pipeline: str, job: int, node: str, item: int, text: T, iteration: int = 0) -> None:
        """Keep what a model answered, for the nodes after it; not of a job that has ended, nor of a run before."""
        texts = self._jobs.get((pipeline, job))
        if texts is not None and texts.runs.get(node) == iteration:
            texts.outputs.setdefault(node, {})[item] = text

    def forget(self, pipeline: str, job: int) -> None:
        """Drop the texts of a job that has ended."""
        self._jobs.pop((pipeline, job), None)

    def _begin(self, texts: _Job[T], pipeline: str, loops: tuple[str, ...], passes: tuple[int, ...]) -> None:
        """Begin the next pass of each loop that is not in it yet; those in a loop that begins one are entered again."""
        for depth, name in enumerate(loops, start=1):
            here, last = passes[:depth], texts.passes.get(name, ())
            if here <= last:
                continue
            texts.passes[name] = here
            if here[:-1] != last[:-1] or not last:
                texts.previous.pop(name, None)
                continue
            loop = self._loops[pipeline, name]
            texts.previous[name] = _read(texts, loop.result)
            for node in loop.body:
                texts.outputs.pop(node, None)
                texts.runs.pop(node, None)  # an answer of the last pass that comes now is none of this one


def _read(texts: _Job[T], reads: Reads) -> tuple[T, ...]:
    found: list[T] = []
    for result in reads:
        found += _outputs(texts, result.main) or _outputs(texts, result.otherwise)
    return tuple(found)


def _outputs(texts: _Job[T], nodes: tuple[str, ...]) -> list[T]:
    return [items[i] for node in nodes if (items := texts.outputs.get(node)) for i in sorted(items)]
