"""The rules of a sweep, exactly: what is flat, what ends it, what is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from analysis import records as make
from scipy import stats

from harness.analysis.sweep import (
    Footprint,
    Round,
    Sweep,
    SweepRow,
    ending,
    gain_of,
    round_of,
    row_of,
    saturation,
)
from harness.wording.sweeps import sweep_sentences

NOISE = (1.0, 1.01, 0.99, 1.005, 0.995)
MB = 1_000_000
SMALL = Footprint(98 * MB, 20_000, 8192)


def rounds(rate: float, together: int = 1, noise: tuple[float, ...] = NOISE, short: int = 0) -> tuple[Round, ...]:
    return tuple(Round(rate * factor, rate * factor / together, 0.1, together, short) for factor in noise)


def rows(*rates: float, noise: tuple[float, ...] = NOISE) -> tuple[SweepRow, ...]:
    """1, 2, 4, ... slots at these rates."""
    made: list[SweepRow] = []
    for number, rate in enumerate(rates):
        n = 2**number
        made.append(row_of(n, rounds(rate, n, noise), made[-1] if made else None, "measured"))
    return tuple(made)


def sweep(found: tuple[SweepRow, ...], **changes: object) -> Sweep:
    made = Sweep("m", "e 1", "slots", None, 2048, SMALL, 1000 * MB, "measured", found, "flat", 64)
    return made._replace(**changes)  # type: ignore[arg-type]  # of several types


def test_a_gain_has_welchs_interval() -> None:
    before, after = rounds(100), rounds(130, noise=(1.0, 1.05, 0.9, 1.2))
    gain = gain_of(after, before)
    logs = [np.log([one.tokens_per_s for one in some]) for some in (after, before)]
    interval = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    assert gain.ratio == pytest.approx(math.exp(logs[0].mean() - logs[1].mean()))
    assert gain.low == pytest.approx(math.exp(interval.low))
    assert gain.high == pytest.approx(math.exp(interval.high))


def test_a_gain_of_one_round_has_no_interval_and_one_without_noise_no_width() -> None:
    assert gain_of(rounds(130, noise=(1,)), rounds(100)).high is None
    assert not gain_of(rounds(100, noise=(1,)), rounds(100)).none
    assert gain_of(rounds(100, noise=(1, 1)), rounds(100, noise=(1, 1))) == (1, 1, 1)


@pytest.mark.parametrize(
    ("rates", "flat_from"),
    [
        ((100, 101, 100), 1),
        ((100, 101, 145), None),  # two gain nothing and four a third: not flat
        ((100, 90, 92), 1),  # less is no gain
        ((100, 104, 104.9), None),  # below 5 %, but not shown to be
        ((100, 101), None),  # one doubling is no evidence
        ((100, 140, 160, 161, 160), 4),
        ((100, 103, 106.5), None),  # two small gains are one that counts
    ],
)
def test_flat_is_two_doublings_without_a_gain(rates: tuple[float, ...], flat_from: int | None) -> None:
    found = rows(*rates)
    assert ending(sweep(found)) == (None if flat_from is None else "flat")
    row = saturation(sweep(found))
    assert (row and row.slots) == flat_from


def test_a_noisy_flat_is_not_called_flat() -> None:
    assert ending(sweep(rows(100, 100, 100, noise=(1.0, 1.3, 0.8)))) is None


def test_the_most_ends_it() -> None:
    assert ending(sweep(rows(100, 130), most=2)) == "most"
    assert ending(sweep(rows(100, 130), most=4)) is None


def on(share: float, slots: int, before: SweepRow | None = None) -> SweepRow:
    return row_of(slots, rounds(100 * slots, slots), before, "measured", size_bytes=1000, vram_bytes=int(1000 * share))


def test_leaving_the_accelerator_ends_it_and_having_none_does_not() -> None:
    assert ending(sweep((on(1, 1),))) is None
    assert ending(sweep((on(1, 1), on(0.75, 2)))) == "accelerator"
    assert ending(sweep((on(1, 1), on(0, 2)))) == "accelerator"
    assert ending(sweep((on(0.4, 1),))) == "accelerator"
    assert ending(sweep((on(0, 1), on(0, 2)))) is None
    said = sweep_sentences(sweep((on(1, 1), on(0.75, 2)), ended="accelerator"))
    assert "With 2 slots only 75 % of the model is on the accelerator (750 B of 1.0 kB)." in said


def test_fewer_than_asked_ends_it_where_it_cannot_be_chance() -> None:
    def held(together: int, slots: int) -> SweepRow:
        return row_of(slots, rounds(100, together), None, "measured")

    assert ending(sweep((held(1, 2),))) == "held"
    assert ending(sweep((held(2, 4),))) == "held"
    assert ending(sweep((held(3, 4),))) is None
    assert ending(sweep((held(1, 2),), varied="calls")) is None  # a running server has the slots that it has
    assert "2 slots requested, 1 generated at the same time: the server does not provide more." in sweep_sentences(
        sweep((held(1, 2),), ended="held")
    )
    assert any("(3 of 4)" in said for said in sweep_sentences(sweep((held(3, 4),), ended="most")))


def test_a_failure_ends_it_and_is_said() -> None:
    found = (*rows(100, 130), row_of(4, (), None, "measured", failure="did not start: no memory"))
    assert ending(sweep(found)) == "failed"
    assert sweep_sentences(sweep(found, ended="failed")) == (
        "Throughput still rises at the last level: at most 130 tok/s in all, 65.0 tok/s each, first token after 100 ms "
        "with 2 slots.",
        "4 slots: did not start: no memory.",
        "Memory: weights 98.0 MB, each slot of 2048 tokens 41.0 MB (f16, from the header); the 1.0 GB that were "
        "available hold at most 22 slots, not counting buffers of the engine.",
    )


def test_what_is_said_of_a_flat_one() -> None:
    found = sweep(rows(100, 140, 141, 139), ended="flat")
    assert sweep_sentences(found)[0] == (
        "Throughput stops rising at 2 slots: 140 tok/s in all, 70.0 tok/s each, first token after 100 ms. More gain "
        "nothing: 4 +0.7 % (-0.4 % to +1.9 %), 8 -0.7 % (-1.9 % to +0.4 %) (95 % intervals, below 5 %)."
    )


def test_what_is_said_of_one_that_cannot_be_told() -> None:
    found = sweep(rows(100, 101, noise=(1.0, 1.3, 0.8)), ended="most", most=2)
    assert sweep_sentences(found)[0].startswith("Throughput is not shown to be flat at the last level: at most ")
    assert sweep_sentences(found)[1] == "It ended at 2, the most that was requested (--most)."


def test_a_running_server_is_left_where_calls_only_wait() -> None:
    found = sweep(rows(100, 130, 150), varied="calls", slots_found=2, footprint=None)
    assert ending(found._replace(rows=found.rows[:2])) is None
    assert ending(found) == "queue"
    ended = found._replace(ended="queue")
    row = saturation(ended)
    assert row is not None and row.slots == 2
    assert sweep_sentences(ended)[1:3] == (
        "At 2 calls at once: 130 tok/s in all, 65.0 tok/s each, first token after 100 ms. "
        "With 4: 150 tok/s in all, 37.5 tok/s each, first token after 100 ms.",
        "More than 2 calls at once only wait in its queue.",
    )
    assert ending(found._replace(slots_found=3)) is None


def test_what_is_said_of_a_running_server_and_of_short_answers() -> None:
    row = row_of(1, rounds(100, short=2), None, "emulated")
    found = sweep((row,), varied="calls", slots_found=4, footprint=None, ended="interrupted")
    assert sweep_sentences(found) == (
        "4 slots found: it generated that many calls at the same time.",
        "Throughput is not shown to be flat at the last level: at most 100 tok/s in all, 100 tok/s each, first token "
        "after 100 ms with 1 call.",
        "Interrupted before the end.",
        "Its memory cannot be predicted: the server does not report the size of weights and KV cache.",
        "10 answers stopped before the requested length; rates count the tokens generated.",
    )


def test_memory() -> None:
    assert SMALL.needed_bytes(4, 2048) == 98 * MB + 4 * 2048 * 20_000
    for room in range(98 * MB, 400 * MB, 7 * MB):
        slots = SMALL.slots_within(room, 2048)
        assert slots is not None
        assert (SMALL.needed_bytes(slots, 2048) or 0) <= room < (SMALL.needed_bytes(slots + 1, 2048) or 0)
    assert SMALL.slots_within(1, 2048) == 0
    assert Footprint(None, 1).needed_bytes(1, 1) is None
    assert Footprint(1, None).slots_within(10**9, 2048) is None
    sliding = SMALL._replace(slides=True)
    assert sliding.least_bytes(4, 2048) == 98 * MB
    assert "hold at least 22 slots" in sweep_sentences(sweep((), footprint=sliding, ended="interrupted"))[-1]


def test_a_round_is_summed_up_from_records() -> None:
    calls = [
        make.call(item=0, prefill=0.25, decode=1.0, tokens=33),
        make.call(item=1, prefill=0.25, decode=1.0, tokens=32, queue=0.5),
    ]
    found = round_of(calls, tokens=33)
    assert found == Round(65 / 1.75, (32 + 31) / 2, 0.5, 2, 1)


def test_what_tells_no_tokens_has_no_throughput_and_no_gain() -> None:
    silent = row_of(2, (Round(0.0, None, None, 0, 0),) * 2, rows(100)[0], "measured")
    assert (silent.throughput, silent.gain) == (None, None)
    assert ending(sweep((silent, silent, silent))) == "held"
