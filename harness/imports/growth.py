"""Agents whose prompts grow from call to call of a loop: the conversation so far, and what a tool gave."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from harness.imports.steps import TraceStep
from harness.workload.traffic import TURN_TEMPLATE_TOKENS

__all__ = ["Grown", "grown"]

NEARLY_ALL = 0.95


class Grown(NamedTuple):
    """What was seen of such an agent, in tokens."""

    first: tuple[int, ...]  # prompts of the first call of each run of the loop
    new: tuple[int, ...]  # that came in with each further call


def grown(runs: Sequence[Sequence[TraceStep]]) -> Grown | None:
    """Return how an agent's prompts grow in its runs; None where they do not.

    They do where each call's prompt holds at least the prompt and the answer of the call before, in nearly all pairs of
    calls. Recorded counts include the chat template, which a simulation adds again: it is taken away.

    Args:
        runs: its calls in each run of the loop, in their order.
    """
    pairs = [pair for run in runs for pair in pairwise(run)]
    counted = [(a, b) for a, b in pairs if a.input_tokens and a.output_tokens and b.input_tokens]
    if not counted or len(counted) < len(pairs):
        return None
    new = [(b.input_tokens or 0) - (a.input_tokens or 0) - (a.output_tokens or 0) for a, b in counted]
    if sum(tokens >= 0 for tokens in new) < NEARLY_ALL * len(new):
        return None
    first = [run[0].input_tokens for run in runs if run and run[0].input_tokens]
    return Grown(tuple(map(_without_template, first)), tuple(map(_without_template, new)))


def _without_template(tokens: int) -> int:
    return max(1, tokens - TURN_TEMPLATE_TOKENS)
