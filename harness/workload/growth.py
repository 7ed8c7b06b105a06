"""Conversations that grow from pass to pass of a loop: what is known of them beforehand, and the texts that come in.

In the first pass an agent sees its prompt. In each further one it sees that, its answers and what came in between: a
tool's result, which is made up here and is the same for every candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from harness.core.events import Call
from harness.core.graph import Growth, Pipeline
from harness.core.sizes import Distribution
from harness.workload.checks import Resolved
from harness.workload.inputs import document
from harness.workload.mistakes import Mistakes
from harness.workload.prompts import Slot
from harness.workload.reads import Readable
from harness.workload.schema import NodeSpec, RepeatSpec, distribution
from harness.workload.source import Loc

__all__ = ["PassCounts", "check_growth", "growth_of", "passes_of", "result_text"]

_SAMPLE = 256  # of a distribution whose moments have no simple form


class PassCounts(NamedTuple):
    """How often a loop runs where it runs once: figures over its runs."""

    mean: float
    before: float  # how many passes there were before a pass, the mean over all passes
    most: int


def passes_of(repeat: RepeatSpec) -> PassCounts:
    """Return how often a loop runs: as is drawn, or until a pass is the last one by chance, or always `max`."""
    weights = _weights(repeat)
    mean = sum(share * n for n, share in weights)
    pairs = sum(share * n * (n - 1) / 2 for n, share in weights)
    return PassCounts(mean, pairs / mean, repeat.most)


def _weights(repeat: RepeatSpec) -> list[tuple[int, float]]:
    """Return (passes, how often there are so many)."""
    most, drawn = repeat.most, repeat.drawn
    if drawn is not None:
        values = [min(most, max(1, round(value))) for value in _values(drawn)]
        return [(n, 1 / len(values)) for n in values]
    end = 0.0 if repeat.ends is None else repeat.ends.p
    if not end:
        return [(most, 1.0)]
    return [*((n, (1 - end) ** (n - 1) * end) for n in range(1, most)), (most, (1 - end) ** (most - 1))]


def _values(drawn: Distribution) -> Iterator[float]:
    if drawn.kind in ("fixed", "empirical"):
        yield from drawn.values
    elif drawn.kind == "uniform":
        yield from range(int(drawn.values[0]), int(drawn.values[1]) + 1)
    else:
        yield from (drawn.draw(0, "passes", number) for number in range(_SAMPLE))


def growth_of(spec: NodeSpec, repeat: RepeatSpec | None) -> dict[str, Any]:
    """Return the attributes of a node that grows: `repeat` is the innermost loop around it."""
    if spec.grows is None:
        return {}
    grows = Growth(distribution(spec.grows.by, whole=True), spec.grows.reuse_prefix)
    return {"grows": grows, "run": PassCounts(1.0, 0.0, 1) if repeat is None else passes_of(repeat)}


def check_growth(
    pipeline: str,
    nodes: Mapping[str, Mapping[str, Any]],
    uses: Mapping[str, Readable],
    agents: Mapping[str, Resolved],
    written: Mapping[str, Loc],
    mistakes: Mistakes,
    *,
    session: bool,
) -> None:
    """Check that what grows does so in a loop, and that it is clear what its passes and turns see."""
    for name, use in uses.items():
        if nodes[name]["grows"] is None:
            continue
        place = f'pipeline "{pipeline}": node "{name}"'
        at: Loc = (*written[name], "grows")
        if not use.loops:
            message = (
                "grows from pass to pass, and no loop is around it; give it `repeat`, or the sub-pipeline it is in"
            )
            mistakes.add(at, f"{place} {message}", key=True)
        elif session and len(use.loops) > 1:
            message = (
                "begins again with every run of its loop, which is in another loop, and turns of a session go on with "
                "what was said: it is not clear with which run; take `session` or the outer loop away"
            )
            mistakes.add(at, f"{place} {message}", key=True)
        for is_system, template in ((False, agents[name].prompt.template), (True, agents[name].prompt.system or ())):
            for slot in template:
                if isinstance(slot, Slot) and slot.name == "previous":
                    message = "names {previous}, but its prompt is sent in the first pass alone; write {input}"
                    mistakes.add_at(agents[name].where[is_system, slot.offset], f"{place} grows and {message}")


def result_text(pipeline: Pipeline, call: Call, seed: int, repeat: int, tokens: int) -> str:
    """Make up what comes in with a pass: the same for every candidate, of about so many tokens."""
    node = pipeline.graph.nodes[call.node].name
    key = (seed, repeat, pipeline.drawn_by, call.job, node, call.item, call.iteration, "grows")
    return document("/".join(map(str, key)), tokens)
