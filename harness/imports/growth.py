"""Agents whose prompts grow from call to call of a loop: the conversation so far, and what a tool gave."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from harness.imports.steps import TraceStep
from harness.workload.traffic import TURN_TEMPLATE_TOKENS

__all__ = ["Grown", "grown"]

NEARLY_ALL = 0.95


class Grown(NamedTuple):
    """What was seen of such an agent, in tokens."""

    first: tuple[int, ...]  # prompts of the first call of each run of the loop
    new: tuple[int, ...]  # that came in with each further call
    factor: float = 1.0  # by which these are to be scaled, so that draws of them give as many prompt tokens in all

    @property
    def drawn(self) -> tuple[int, ...]:
        """What came in, so scaled."""
        return tuple(max(1, round(tokens * self.factor)) for tokens in self.new)

    @property
    def scaled(self) -> str:
        """Say that they are scaled, where it is by more than one in a hundred."""
        if abs(self.factor - 1) < 0.01:
            return ""
        return f", times {self.factor:.3g}, which gives all prompts together as many tokens as they had"


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
    grew = Grown(tuple(map(_without_template, first)), tuple(map(_without_template, new)))
    return grew._replace(factor=_factor(grew, [run for run in runs if run]))


def _factor(grew: Grown, runs: Sequence[Sequence[TraceStep]]) -> float:
    """Return by what the new tokens are to be scaled.

    What comes in early is read again in every later call, so where early results are longer than late ones, or long
    conversations have longer ones, their plain mean gives other prompts than those seen. With n calls a run, first
    prompts of F tokens, answers of A and a template of T tokens between calls, means all, the prompts of a run have
    n F + n (n - 1) / 2 (N + A + T) tokens: N is solved for, so that their sum over the runs is the one seen.
    """
    calls = [step for run in runs for step in run]
    again = sum(len(run) * (len(run) - 1) / 2 for run in runs)
    seen = sum(step.input_tokens or 0 for step in calls)
    first = fmean(grew.first) + TURN_TEMPLATE_TOKENS
    answer = fmean(step.output_tokens or 0 for step in calls)
    wanted = (seen - len(calls) * first) / again - answer - TURN_TEMPLATE_TOKENS
    return max(wanted, 1.0) / fmean(grew.new)


def _without_template(tokens: int) -> int:
    return max(1, tokens - TURN_TEMPLATE_TOKENS)
