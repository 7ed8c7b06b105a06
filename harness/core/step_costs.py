"""What one step of a server costs: the numbers of a profile at one slot setting, compiled for the server model.

A step is one decode call of the engine: a token for every generating slot, then prompt tokens up to the batch limit.
Its cost in seconds is

    decode_s[b] + context_s_per_token * X        b slots generate, with X tokens of context between them
    + f * (prefill(p) + prompt_context_s * A)    p prompt tokens; A: for each, the tokens before it in its own prompt

with f = `mixed_factor` where b > 0, else 1; a step in which nobody generates costs `prompt_step_s` besides.

Where the engine's passes are told apart (`PassCosts`) a step costs the sum of its passes (`harness.core.passes`) and
X as above. A pass of one token of each of its n sequences costs decode_s[n], changed_s[n] more where the pass before
had another shape, and settle_s[n] more where it had the same one for the first time. A pass with more tokens, p in all,
costs prompt_step_s + prefill(p).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PassCosts", "Prefill", "RamCache", "StepCosts", "prefill_s", "prompt_attention", "sped_up"]


class PassCosts(NamedTuple):
    """What passes cost more that are not like the one before. By the number of sequences, from 0; see the module."""

    changed_s: tuple[float, ...]
    settle_s: tuple[float, ...]
    most_tokens: int = 512  # n_ubatch: tokens in one pass at most
    unified: bool = False  # the KV cache: slots with any numbers share a pass


class RamCache(NamedTuple):
    """A cache of prompts in main memory: what is in a slot is saved there as another call comes, and everybody waits.

    Saved is what an idle slot holds and is not saved yet, of all idle slots, whichever the new call takes.
    """

    save_s: float  # for each slot that is saved
    s_per_token: float  # the bytes of a token's KV over the rate of the copy
    tokens: int  # that have room


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
    handover_s: float = 0.0  # a slot is free until a call that waited for it is there
    tokenize_s_per_token: float = 0.0  # of a prompt, between the queue and the slot
    passes: PassCosts | None = None  # None: a step costs the same whichever slots are busy
    ram_cache: RamCache | None = None  # None: taking a slot costs nothing

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
        self._check_extras()
        if not self.prefill or [n for n, _ in self.prefill] != sorted({n for n, _ in self.prefill if n > 0}):
            raise ValueError(f"expected a rising table of prompt tokens, found {self.prefill!r}")

    def _check_extras(self) -> None:
        extras = [self.handover_s, self.tokenize_s_per_token]
        if self.passes is not None:
            for name, table in (("changed_s", self.passes.changed_s), ("settle_s", self.passes.settle_s)):
                if len(table) != len(self.decode_s):
                    raise ValueError(f"expected {name} of 0 to {self.slots} sequences, found {len(table)} values")
                extras += table
            if self.passes.most_tokens < 1:
                raise ValueError(f"expected at least one token in a pass, found {self.passes.most_tokens}")
        if self.ram_cache is not None:
            extras += self.ram_cache
        if min(extras) < 0 or not all(number < float("inf") for number in extras):
            raise ValueError(f"expected costs of 0 or more, found {min(extras)!r}")


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
        handover_s=costs.handover_s / factor,
        tokenize_s_per_token=costs.tokenize_s_per_token / factor,
        passes=costs.passes
        and costs.passes._replace(
            changed_s=tuple(s / factor for s in costs.passes.changed_s),
            settle_s=tuple(s / factor for s in costs.passes.settle_s),
        ),
        ram_cache=costs.ram_cache
        and costs.ram_cache._replace(
            save_s=costs.ram_cache.save_s / factor, s_per_token=costs.ram_cache.s_per_token / factor
        ),
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
