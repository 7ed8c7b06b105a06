"""What one step of a server costs: the numbers of a profile at one slot setting, compiled for the server model.

A step is one decode call of the engine: a token for every generating slot, then prompt tokens up to the batch limit.
Its cost in seconds is

    decode_s[b] + context_s_per_token * X        b slots generate, with X tokens of context between them
    + f * (prefill(p) + prompt_context_s * A)    p prompt tokens; A: for each, the tokens before it in its own prompt

with f = `mixed_factor` where b > 0, else 1; a step in which nobody generates costs `prompt_step_s` besides.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Prefill", "StepCosts", "prefill_s", "prompt_attention", "sped_up"]


class StepCosts(NamedTuple):
    """One server at one slot setting. Seconds and tokens."""

    decode_s: tuple[float, ...]  # by the number of generating slots, 0 to `slots`; the first is 0
    prefill: tuple[tuple[int, float], ...] = ((1, 0.0),)  # (prompt tokens in a step, seconds), rising; see prefill_s
    prompt_step_s: float = 0.0
    prompt_context_s: float = 0.0
    context_s_per_token: float = 0.0
    mixed_factor: float = 1.0
    batch_tokens: int = 2048  # n_batch: tokens in one step at most, generated ones included
    before_s: float = 0.0  # sent by the client until it stands in the server's queue
    after_s: float = 0.0  # a token is there until the client has it
    gap_s: float = 0.0  # of calls that a client starts at one instant, each stands in the queue so much after the last

    @property
    def slots(self) -> int:
        """How many calls generate at the same time."""
        return len(self.decode_s) - 1

    def check(self) -> None:
        """Raise ValueError where these costs make no server."""
        if self.slots < 1:
            raise ValueError(f"expected a step time for at least one generating slot, found {self.decode_s!r}")
        if self.decode_s[0] != 0:
            raise ValueError(f"expected no cost where nobody generates, found {self.decode_s[0]!r} s")
        if self.batch_tokens <= self.slots:
            raise ValueError(f"expected room for a prompt beside {self.slots} slots, found {self.batch_tokens} tokens")
        numbers = (*self.decode_s, *(s for _, s in self.prefill), *self[2:6], self.before_s, self.after_s, self.gap_s)
        if min(numbers) < 0 or not all(number < float("inf") for number in numbers):
            raise ValueError(f"expected costs of 0 s or more, found {min(numbers)!r}")
        if not self.prefill or [n for n, _ in self.prefill] != sorted({n for n, _ in self.prefill if n > 0}):
            raise ValueError(f"expected a rising table of prompt tokens, found {self.prefill!r}")


def sped_up(costs: StepCosts, factor: float) -> StepCosts:
    """Return costs that are `factor` times less; how far apart a client sends is not the server's doing."""
    return costs._replace(
        decode_s=tuple(s / factor for s in costs.decode_s),
        prefill=tuple((tokens, s / factor) for tokens, s in costs.prefill),
        prompt_step_s=costs.prompt_step_s / factor,
        prompt_context_s=costs.prompt_context_s / factor,
        context_s_per_token=costs.context_s_per_token / factor,
        before_s=costs.before_s / factor,
        after_s=costs.after_s / factor,
    )


def prefill_s(table: tuple[tuple[int, float], ...], prompt_tokens: int) -> float:
    """Return the cost of `prompt_tokens` in one step: lines from (0, 0) through the table, the last goes on."""
    if len(table) == 1:  # a rate
        return table[0][1] / table[0][0] * prompt_tokens
    from_tokens, from_s = 0, 0.0
    cost_s = 0.0
    for tokens, at_s in table:
        cost_s = from_s + (at_s - from_s) / (tokens - from_tokens) * (prompt_tokens - from_tokens)
        if prompt_tokens <= tokens:
            break
        from_tokens, from_s = tokens, at_s
    return cost_s


class Prefill(dict[int, float]):
    """`prefill_s` of one table by the number of prompt tokens, each worked out once."""

    def __init__(self, table: tuple[tuple[int, float], ...]) -> None:
        super().__init__()
        self._table = table

    def __missing__(self, prompt_tokens: int) -> float:
        cost_s = self[prompt_tokens] = prefill_s(self._table, prompt_tokens)
        return cost_s


def prompt_attention(before: int, tokens: int) -> int:
    """Return A of one piece of a prompt: each of its tokens looks at all those before it."""
    return tokens * before + tokens * (tokens - 1) // 2
