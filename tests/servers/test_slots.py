"""The queue for slots, on its own."""

from __future__ import annotations

import asyncio
import random

import pytest

from harness.servers.front.slots import Slots


def test_needs_a_slot() -> None:
    with pytest.raises(ValueError, match=r"^a server has at least 1 slot, not 0$"):
        Slots(0)


def test_random_cancellations_lose_no_slot_and_no_turn() -> None:
    """Against the definition: at most `total` hold a slot, and who gets one is the oldest who still waits."""

    async def steps(seed: int) -> None:
        draw = random.Random(seed)
        slots = Slots(draw.randint(1, 3))
        asked: list[int] = []
        got: list[int] = []
        holding: set[int] = set()
        tasks: dict[int, asyncio.Task[None]] = {}
        leave: dict[int, asyncio.Event] = {}

        async def call(n: int) -> None:
            await slots.acquire()
            try:
                got.append(n)
                holding.add(n)
                assert len(holding) <= slots.total
                await leave[n].wait()
            finally:
                holding.discard(n)
                slots.release()

        for n in range(60):
            leave[n] = asyncio.Event()
            tasks[n] = asyncio.create_task(call(n))
            asked.append(n)
            for _ in range(draw.randint(0, 2)):
                await asyncio.sleep(0)
            for _ in range(draw.randint(0, 2)):
                other = draw.choice(asked)
                if draw.random() < 0.5:
                    tasks[other].cancel()
                leave[other].set()
        for event in leave.values():
            event.set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        if slots.total == 1:  # with more, two that got theirs at one instant may run in either order
            assert got == sorted(got)
        assert (slots.busy, slots.waiting) == (0, 0)

    for seed in range(50):
        asyncio.run(steps(seed))
