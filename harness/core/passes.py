"""A step as the engine runs it: pass by pass, which is what it costs where a pass of another shape costs more.

Without a unified KV cache one pass takes sequences of consecutive numbers only, and of each the same number of tokens
(llama.cpp b10488: `llama_batch_allocr::split_equal(n_ubatch, sequential)` in src/llama-batch.cpp, called by
`llama_kv_cache::init_batch`). So two busy slots apart are two passes, and so is a prompt beside slots that generate.

A pass uses the graph of the pass before it again where that has the same sequences and the same number of tokens
(`llm_graph_params::allow_reuse` in src/llama-graph.h); on CUDA the kernels are then launched as one graph, which is
captured at the first repetition (ggml/src/ggml-cuda/ggml-cuda.cu, `ggml_cuda_graph_update_required`). With several
passes in every step no pass is ever like the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from harness.core.step_costs import StepCosts

__all__ = ["Pass", "Passes", "split"]

SETTLED: Final = 2  # repetitions after which a pass costs the same as ever


class Pass(NamedTuple):
    """Sequences that are computed together, each with as many tokens. With a unified cache: only how many."""

    sequences: tuple[int, ...]
    tokens_each: int


class _State(NamedTuple):
    """What of the passes so far matters to the next one."""

    last: Pass | None = None
    repeated: int = 0  # how often it was, one after the other; at most `SETTLED`


def split(pieces: Sequence[tuple[int, int]], most_tokens: int) -> list[Pass]:
    """Split the tokens of a step into passes.

    Args:
        pieces: (slot, tokens) in the order of the batch: those that generate first, then the prompts.
        most_tokens: in one pass (n_ubatch).
    """
    left = dict(pieces)
    passes = []
    while left:
        sequences: list[int] = []
        for slot in left:
            if not sequences or slot == sequences[-1] + 1:
                sequences.append(slot)
        each = min(*(left[slot] for slot in sequences), max(1, most_tokens // len(sequences)))
        for slot in sequences:
            left[slot] -= each
            if not left[slot]:
                del left[slot]
        passes.append(Pass(tuple(sequences), each))
    return passes


class Passes:
    """What the steps of one server cost; it remembers the pass before.

    Args:
        costs: with `passes`.
    """

    __slots__ = ("_changed_s", "_costs", "_decode_s", "_most_tokens", "_prefill", "_settle_s", "_state", "_unified")

    def __init__(self, costs: StepCosts, prefill: dict[int, float]) -> None:
        assert costs.passes is not None
        self._costs = costs
        self._prefill = prefill
        self._decode_s = costs.decode_s
        self._changed_s = costs.passes.changed_s
        self._settle_s = costs.passes.settle_s
        self._most_tokens = costs.passes.most_tokens
        self._unified = costs.passes.unified
        self._state = _State()

    def step_s(self, pieces: Sequence[tuple[int, int]]) -> float:
        """Return what the next step costs, without what context costs it; pieces as in `split`."""
        return self._step(self._split(pieces), self._state)[0]

    def run_s(self, slots: Sequence[int]) -> tuple[float, bool]:
        """Return what a step costs in which these slots generate, and whether all that follow cost the same."""
        passes = self._split([(slot, 1) for slot in slots])
        first_s, state = self._step(passes, self._state)
        for _ in range(SETTLED):
            next_s, state = self._step(passes, state)
            if next_s != first_s:
                return first_s, False
        return first_s, True

    def done(self, pieces: Sequence[tuple[int, int]], steps: int) -> None:
        """Note that so many steps with these pieces have been made."""
        passes = self._split(pieces)
        for _ in range(min(steps, SETTLED + 1)):
            _, self._state = self._step(passes, self._state)

    def _split(self, pieces: Sequence[tuple[int, int]]) -> list[Pass]:
        if not self._unified:
            return split(pieces, self._most_tokens)
        left = sum(tokens for _, tokens in pieces)
        if left == len(pieces):
            return [Pass((len(pieces),), 1)]
        passes = []
        while left:  # `split_simple`: in the order of the batch, whosever the tokens are
            tokens = min(left, self._most_tokens)
            passes.append(Pass((1,), tokens))
            left -= tokens
        return passes

    def _step(self, passes: Sequence[Pass], state: _State) -> tuple[float, _State]:
        cost_s = 0.0
        for one in passes:
            if one.tokens_each > 1:
                tokens = one.tokens_each * (1 if self._unified else len(one.sequences))
                cost_s += self._costs.prompt_step_s + self._prefill[tokens]
                state = _State(one)
                continue
            sequences = one.sequences[0] if self._unified else len(one.sequences)
            if one != state.last:
                cost_s += self._decode_s[sequences] + self._changed_s[sequences]
                state = _State(one)
            else:
                cost_s += self._decode_s[sequences] + (0.0 if state.repeated else self._settle_s[sequences])
                state = _State(one, min(SETTLED, state.repeated + 1))
        return cost_s, state
