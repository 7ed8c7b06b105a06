"""The sweep step by step: what is tried, what ends it, what is kept; with fakes, and against a simulated server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quiet import Quiet
from servers.conftest import gguf_bytes

from harness.analysis.sweep import Footprint, Round, Sweep
from harness.core.step_costs import StepCosts
from harness.errors import ServerFailure, UserError
from harness.measure.footprint import footprint_in
from harness.measure.sweep import (
    Died,
    Look,
    Seen,
    ToSweep,
    check_memory,
    footprint_of,
    slot_counts,
    sweep_calls,
    walk,
)
from harness.servers.fronts import child
from harness.servers.simulated_engine import SimulatedConfig

__all__ = ["gguf_bytes"]

NOISE = (1.0, 1.01, 0.99)
MB = 1_000_000
SMALL = Footprint(100 * MB, 10_000, 8192)
WANTED = ToSweep("m.gguf", "llamacpp", 2048, 64, 8, 3)


def empty(**changes: Any) -> Sweep:
    made = Sweep("m", "", "slots", None, 2048, SMALL, 10_000 * MB, "measured", (), "interrupted", 64)
    return made._replace(**changes)


def looking(rates: dict[int, float | BaseException], tried: list[int], **seen: Any) -> Look:
    async def look(slots: int) -> Seen:
        tried.append(slots)
        rate = rates[slots]
        if isinstance(rate, BaseException):
            raise rate
        rounds = tuple(Round(rate * factor, rate / slots, 0.1, slots, 0) for factor in NOISE)
        return Seen(rounds, "e 1", 2048, "measured", rss_bytes=slots, **seen)

    return look


def swept(sweep: Sweep, look: Look, kept: list[Sweep] | None = None) -> Sweep:
    keep = [] if kept is None else kept
    return asyncio.run(walk(sweep, look, Quiet(), keep.append))


@pytest.mark.parametrize(
    ("most", "counts"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (64, (1, 2, 4, 8, 16, 32, 64))]
)
def test_counts(most: int, counts: tuple[int, ...]) -> None:
    assert slot_counts(most) == counts


def test_it_goes_on_until_two_doublings_gain_nothing() -> None:
    tried: list[int] = []
    kept: list[Sweep] = []
    found = swept(empty(), looking({1: 100, 2: 101, 4: 140, 8: 141, 16: 139, 32: 500}, tried), kept)
    assert tried == [1, 2, 4, 8, 16]
    assert (found.ended, found.engine) == ("flat", "e 1")
    assert [row.needed_bytes for row in found.rows] == [100 * MB + n * 20_480_000 for n in tried]
    assert [row.rss_bytes for row in found.rows] == tried
    assert [len(sweep.rows) for sweep in kept] == [0, 1, 2, 3, 4, 5]
    assert [sweep.ended for sweep in kept] == ["interrupted"] * 5 + ["flat"]
    assert kept[-1] == found


def test_a_server_that_does_not_start_is_an_answer() -> None:
    tried: list[int] = []
    failure = ServerFailure(
        "llamacpp-4: the engine's process ended before it was ready (signal 9); it last said:\n  x."
    )
    found = swept(empty(), looking({1: 100, 2: 130, 4: failure}, tried))
    assert (tried, found.ended) == ([1, 2, 4], "failed")
    assert found.rows[-1].failure == (
        "did not start: llamacpp-4: the engine's process ended before it was ready (signal 9); it last said: x"
    )


def test_one_that_dies_at_its_work_started() -> None:
    found = swept(empty(), looking({1: 100, 2: Died("cut")}, []))
    assert found.rows[-1].failure == "failed: cut"
    calls = swept(empty(varied="calls"), looking({1: 100, 2: ServerFailure("cut")}, []))
    assert calls.rows[-1].failure == "failed: cut"


def test_a_users_mistake_is_raised() -> None:
    with pytest.raises(UserError, match="no such model"):
        swept(empty(), looking({1: UserError("no such model")}, []))


def test_what_cannot_fit_is_not_tried() -> None:
    tried: list[int] = []
    found = swept(empty(available_bytes=170 * MB), looking({1: 100, 2: 130}, tried))
    assert (tried, found.ended, found.rows[-1].slots) == ([1, 2], "memory", 4)
    assert found.rows[-1].failure == "it would need 181.9 MB, 170.0 MB are available"
    assert found.memory_slots == 3


def test_a_sliding_window_may_fit_where_the_prediction_says_no() -> None:
    tried: list[int] = []
    sliding = SMALL._replace(slides=True)
    swept(empty(available_bytes=170 * MB, footprint=sliding, most=8), looking({1: 100, 2: 150, 4: 200, 8: 300}, tried))
    assert tried == [1, 2, 4, 8]


def test_what_the_server_tells_is_taken_where_there_is_no_header() -> None:
    found = swept(empty(footprint=None, available_bytes=130 * MB), looking({1: 100}, [], footprint=SMALL))
    assert (found.footprint, found.rows[0].needed_bytes, found.ended) == (SMALL, 120_480_000, "memory")


def test_an_interrupt_leaves_what_was_kept() -> None:
    kept: list[Sweep] = []
    with pytest.raises(asyncio.CancelledError):  # what a Ctrl-C is to whatever is being awaited
        swept(empty(), looking({1: 100, 2: asyncio.CancelledError()}, []), kept)
    assert ([row.slots for row in kept[-1].rows], kept[-1].ended) == ([1], "interrupted")


def test_no_memory_for_one_slot_is_said_with_the_numbers() -> None:
    with pytest.raises(UserError) as caught:
        check_memory(WANTED, SMALL, 110 * MB)
    assert str(caught.value) == (
        "m: one slot of 2048 tokens needs 120.5 MB (weights 100.0 MB, KV cache 20.5 MB), 110.0 MB are available; "
        "close what uses the memory, or take a smaller --context or a smaller model"
    )
    check_memory(WANTED, SMALL, 121 * MB)
    check_memory(WANTED, SMALL, 0)  # the system does not say
    check_memory(WANTED, None, 1)


META: dict[str, object] = {
    "general.architecture": "llama",
    "llama.block_count": 4,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "llama.embedding_length": 512,
    "llama.context_length": 1024,
}


def test_the_header_of_a_file(tmp_path: Path, gguf_bytes: Callable[..., bytes]) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_bytes(META, {"a": (8, 8)}) + bytes(512))
    wanted = WANTED._replace(model=str(path), context_tokens=1024)
    found = asyncio.run(footprint_of(wanted, Quiet()))
    assert found == Footprint(path.stat().st_size, 2 * 4 * 2 * (64 + 64), 1024)
    with pytest.raises(UserError, match=r"^--context 2048: m was trained with 1024 tokens; ask for 1024 at most$"):
        asyncio.run(footprint_of(wanted._replace(context_tokens=2048), Quiet()))
    assert asyncio.run(footprint_of(wanted._replace(engine="ollama", model="llama3.2"), Quiet())) is None


def test_an_unknown_model_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r'model "smolm2-135m": .*did you mean "smollm2-135m"\?'):
        asyncio.run(footprint_of(WANTED._replace(model="smolm2-135m"), Quiet()))


def test_metadata_of_a_server() -> None:
    hidden = META | {"llama.attention.head_count_kv": None}
    assert footprint_in(hidden, 7) == Footprint(7, None, 1024)
    sliding = META | {"llama.attention.sliding_window": 512}
    assert footprint_in(sliding, None) == Footprint(None, 2048, 1024, slides=True)
    assert footprint_in({}, 7) == Footprint(7, None, None)
    eight, four = (footprint_in(META, 7, {"kv_type": kind}).kv_bytes_per_token for kind in ("q8_0", "q4_0"))
    assert (eight, four) == (2048 * 34 // 64, 2048 * 18 // 64)  # blocks of 32 values with a scale of two bytes


def test_a_running_server_is_met_with_more_and_more_calls() -> None:
    """Two slots whose steps cost nearly the same for two calls: the slots, the gain and the flat part are found."""
    costs = StepCosts(decode_s=(0.0, 0.004, 0.0042), prefill=((1, 1e-6),))

    async def steps() -> Sweep:
        config = {"engine": SimulatedConfig("sim", "test", costs, 2048, model_bytes=1000, memory_bytes=2000).to_json()}
        async with child("x", "simulated", config | {"faults": None}) as ready:
            wanted = WANTED._replace(model="sim", most=2, tokens=24, rounds=2)
            return await sweep_calls(wanted, ready["url"], Quiet(), lambda _: None)

    found = asyncio.run(steps())
    assert found.ended == "most"  # four calls would be twice its slots
    assert (found.varied, found.slots_found, found.origin, found.context_tokens) == ("calls", 2, "emulated", 2048)
    assert [row.slots for row in found.rows] == [1, 2]
    assert [row.together for row in found.rows] == [1, 2]
    assert all(row.needed_bytes is None and row.rss_bytes is None for row in found.rows)
    assert all(row.size_bytes == 2000 for row in found.rows)
