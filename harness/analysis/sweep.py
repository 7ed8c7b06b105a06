"""How many slots survive: the rules of a sweep over slot counts. Nothing is measured here, and nothing said.

Flat: the upper ends of the 95 % intervals of both gains over the count two doublings before lie below 5 %. One doubling
alone is no evidence: on several machines two calls at once gain nothing and four gain a third, because the engine's
step first pays for reading the weights in another way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import stdtrit

from harness.analysis.levels import effective_slots, level_of
from harness.analysis.statistics import CONFIDENCE, EQUIVALENCE, Estimate, estimate
from harness.core.records import CallRecord, Origin

__all__ = [
    "Ending",
    "Footprint",
    "Gain",
    "Round",
    "Sweep",
    "SweepRow",
    "ending",
    "gain_of",
    "round_of",
    "row_of",
    "saturation",
]

WORTH = EQUIVALENCE  # a gain below this is none
_DOUBLINGS = 2  # in a row without a gain: flat

# Why a sweep went no further. `held`: the server was asked for more slots and gave fewer.
# `queue`: a running server has half as many slots as calls were sent, or fewer.
Ending = Literal["flat", "most", "memory", "accelerator", "held", "queue", "failed", "interrupted"]


class Footprint(NamedTuple):
    """What a model takes, from its header or from what the server tells of it; None: unknown."""

    weights_bytes: int | None
    kv_bytes_per_token: int | None
    trained_tokens: int | None = None  # the context that it was trained for
    slides: bool = False  # some layers keep a window of the context only: the KV cache is smaller than predicted

    def needed_bytes(self, slots: int, context_tokens: int) -> int | None:
        """Return weights + slots x context x bytes of a token, at f16; the engine's buffers come on top."""
        if self.weights_bytes is None or not self.kv_bytes_per_token:
            return None
        return self.weights_bytes + slots * context_tokens * self.kv_bytes_per_token

    def least_bytes(self, slots: int, context_tokens: int) -> int | None:
        """Return what is needed in any case: with windows that slide the weights alone."""
        return self.weights_bytes if self.slides else self.needed_bytes(slots, context_tokens)

    def slots_within(self, available_bytes: int, context_tokens: int) -> int | None:
        """Return how many slots fit beside the weights; None where that is not known."""
        one = self.needed_bytes(1, context_tokens)
        if one is None or self.kv_bytes_per_token is None or self.weights_bytes is None or available_bytes <= 0:
            return None
        return max(0, (available_bytes - self.weights_bytes) // (context_tokens * self.kv_bytes_per_token))


class Round(NamedTuple):
    """As many equal calls as slots, sent at once, once."""

    tokens_per_s: float  # of all of them, over the wall-clock
    per_call_tokens_per_s: float | None  # mean decode rate of one
    first_token_s: float | None  # median from sent to the first token
    together: int  # the most that were generated at the same time
    short_answers: int


class Gain(NamedTuple):
    """A ratio of throughputs and its 95 % interval."""

    ratio: float
    low: float | None
    high: float | None

    @property
    def none(self) -> bool:
        """It is shown to be below 5 %."""
        return self.high is not None and self.high < WORTH


class SweepRow(NamedTuple):
    """One slot count (or, on a running server, one number of calls at once)."""

    slots: int
    rounds: tuple[Round, ...]  # empty where it did not come to that
    throughput: Estimate | None
    per_call_tokens_per_s: float | None
    first_token_s: float | None
    together: int | None
    gain: Gain | None  # over the row before
    needed_bytes: int | None  # predicted: weights and KV cache
    rss_bytes: int | None  # resident memory of the server's processes
    size_bytes: int | None  # what the server says that the model takes
    vram_bytes: int | None  # of these, on the accelerator
    failure: str = ""  # why there are no figures

    @property
    def accelerated(self) -> float | None:
        """The share of the model that is on an accelerator; None where the server does not say."""
        return None if not self.size_bytes or self.vram_bytes is None else self.vram_bytes / self.size_bytes

    @property
    def cpu_share(self) -> float:
        """The share of the model that did not fit onto the accelerator that has the rest."""
        share = self.accelerated
        return 0.0 if share is None or not 0 < share < 1 else 1 - share


class Sweep(NamedTuple):
    """One model over slot counts."""

    model: str
    engine: str  # name and version; "" where none started
    varied: Literal["slots", "calls"]  # calls: a running server, whose slots are what they are
    slots_found: int | None  # calls: by the probe
    context_tokens: int | None  # of a slot
    footprint: Footprint | None
    available_bytes: int | None  # before anything was started
    origin: Origin
    rows: tuple[SweepRow, ...]
    ended: Ending
    most: int

    @property
    def measured(self) -> tuple[SweepRow, ...]:
        """The rows with figures."""
        return tuple(row for row in self.rows if row.rounds)

    @property
    def memory_slots(self) -> int | None:
        """How many slots the machine's memory holds beside the weights, by prediction."""
        if self.footprint is None or self.context_tokens is None or self.available_bytes is None:
            return None
        return self.footprint.slots_within(self.available_bytes, self.context_tokens)


def round_of(calls: Sequence[CallRecord], tokens: int) -> Round:
    """Sum up one burst of equal calls; `tokens` is the pinned length."""
    row = level_of(calls, pinned_tokens=tokens)
    first_s = [
        reply.end_s - reply.sent_s - reply.decode_s
        for call in calls
        if (reply := call.reply).end_s is not None and reply.sent_s is not None and reply.decode_s is not None
    ]
    return Round(
        row.aggregate_tokens_per_s,
        row.per_call_tokens_per_s,
        median(first_s) if first_s else None,
        effective_slots(calls),
        row.short_answers,
    )


def row_of(
    slots: int,
    rounds: Sequence[Round],
    before: SweepRow | None,
    origin: Origin,
    *,
    needed_bytes: int | None = None,
    rss_bytes: int | None = None,
    size_bytes: int | None = None,
    vram_bytes: int | None = None,
    failure: str = "",
) -> SweepRow:
    """Sum up the rounds of one slot count."""
    each = [one.per_call_tokens_per_s for one in rounds if one.per_call_tokens_per_s is not None]
    first_s = [one.first_token_s for one in rounds if one.first_token_s is not None]
    throughput = estimate([one.tokens_per_s for one in rounds], origin)
    known = throughput is not None and before is not None and before.throughput is not None
    return SweepRow(
        slots=slots,
        rounds=tuple(rounds),
        throughput=throughput,
        per_call_tokens_per_s=median(each) if each else None,
        first_token_s=median(first_s) if first_s else None,
        together=max((one.together for one in rounds), default=None),
        gain=gain_of(rounds, before.rounds) if known and before is not None else None,
        needed_bytes=needed_bytes,
        rss_bytes=rss_bytes,
        size_bytes=size_bytes,
        vram_bytes=vram_bytes,
        failure=failure,
    )


def gain_of(rounds: Sequence[Round], before: Sequence[Round]) -> Gain:
    """Return the ratio of the geometric mean throughputs, with Welch's interval on the logarithms.

    Welch, B. L. (1947), Biometrika 34: two samples of unequal variance. The rounds of two slot counts are no pairs:
    between them a server was stopped and another one started.
    """
    mine, theirs = (np.log([one.tokens_per_s for one in some]) for some in (rounds, before))
    difference = float(np.mean(mine) - np.mean(theirs))
    if min(len(mine), len(theirs)) < 2:
        return Gain(math.exp(difference), None, None)
    of_mean = [float(np.var(some, ddof=1)) / len(some) for some in (mine, theirs)]
    error = math.sqrt(sum(of_mean))
    if error == 0:
        return Gain(math.exp(difference), math.exp(difference), math.exp(difference))
    freedom = sum(of_mean) ** 2 / sum(v**2 / (len(some) - 1) for v, some in zip(of_mean, (mine, theirs), strict=True))
    half = float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / 2)) * error
    return Gain(math.exp(difference), math.exp(difference - half), math.exp(difference + half))


def ending(sweep: Sweep) -> Ending | None:
    """Tell whether a sweep ends with its last row, and why; None: the next count is tried."""
    rows, last = sweep.rows, sweep.rows[-1]
    if last.failure:
        return "failed"
    share = last.accelerated
    if share is not None and share < 1 and any((row.accelerated or 0) > 0 for row in rows):
        return "accelerator"
    if sweep.varied == "slots" and last.together is not None and 2 * last.together <= last.slots and last.slots > 1:
        return "held"  # half of them or fewer: a busy machine hides one or two, not that many
    if _flat_from(rows) is not None:
        return "flat"
    if sweep.varied == "calls" and sweep.slots_found is not None and last.slots >= 2 * sweep.slots_found:
        return "queue"
    return "most" if last.slots >= sweep.most else None


def saturation(sweep: Sweep) -> SweepRow | None:
    """Return the row from which more slots gained nothing, None where throughput still rose (or it is not resolved).

    On a running server that is the last one within its slots: what comes on top of them only waits there.
    """
    if sweep.ended == "queue":
        return [row for row in sweep.rows if row.slots <= (sweep.slots_found or 1)][-1]
    at = _flat_from(sweep.rows)
    return None if at is None else sweep.rows[at]


def _flat_from(rows: Sequence[SweepRow]) -> int | None:
    if len(rows) <= _DOUBLINGS or any(row.throughput is None for row in rows[-_DOUBLINGS - 1 :]):
        return None
    base = rows[-_DOUBLINGS - 1]
    flat = all(gain_of(row.rounds, base.rounds).none for row in rows[-_DOUBLINGS:])
    return len(rows) - _DOUBLINGS - 1 if flat else None
