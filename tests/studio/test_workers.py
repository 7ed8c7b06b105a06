"""Who waits for a worker: the newest question of each tab, and no answer for what was replaced or took too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from harness.studio import workers
from harness.studio.workers import NotAnswered, TabsInTurn, Worker


class Slow(Worker):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []
        self.killed = 0
        self.go = asyncio.Event()
        self.lost = False

    async def warm(self) -> None:
        """There is no process."""

    async def ask(self, body: bytes) -> bytes:
        """Wait until the test says so."""
        self.asked.append(body)
        await self.go.wait()
        if self.lost:
            raise asyncio.IncompleteReadError(b"", 4)
        return b"answer to " + body

    async def kill(self) -> None:
        """Count."""
        self.killed += 1


def with_lane(test: Callable[[TabsInTurn, Slow], Coroutine[Any, Any, None]], limit_s: float = 60.0) -> None:
    async def run() -> None:
        lane = TabsInTurn("simulation", limit_s, Slow)
        worker = lane._worker
        assert isinstance(worker, Slow)
        lane.start()
        await test(lane, worker)
        await lane.stop()

    asyncio.run(run())


def ask(lane: TabsInTurn, tab: str, version: int, body: bytes) -> asyncio.Task[bytes]:
    return asyncio.create_task(lane.ask(tab, "figures", version, body))


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - what it waits for is in the same loop, a few steps away
        await asyncio.sleep(0)


async def state(asked: asyncio.Task[bytes]) -> str:
    with pytest.raises(NotAnswered) as ended:
        await asked
    return ended.value.why


def test_what_waits_is_replaced_and_what_runs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE_S", 0.0)

    async def test(lane: TabsInTurn, worker: Slow) -> None:
        first = ask(lane, "a", 1, b"1")
        await until(lambda: worker.asked == [b"1"])
        second = ask(lane, "a", 2, b"2")
        third = ask(lane, "a", 3, b"3")
        assert await state(first) == "replaced"
        assert await state(second) == "replaced"
        await until(lambda: worker.asked == [b"1", b"3"])
        worker.go.set()
        assert await third == b"answer to 3"
        assert worker.killed == 1

    with_lane(test)


def test_what_runs_and_ends_by_itself_is_not_killed() -> None:
    async def test(lane: TabsInTurn, worker: Slow) -> None:
        first = ask(lane, "a", 1, b"1")
        await until(lambda: worker.asked == [b"1"])
        second = ask(lane, "a", 2, b"2")
        await asyncio.sleep(0)
        worker.go.set()
        assert await first == b"answer to 1"  # its version says what it is of
        assert await second == b"answer to 2"
        assert worker.killed == 0

    with_lane(test)


def test_an_older_question_that_comes_late_is_not_asked() -> None:
    async def test(lane: TabsInTurn, worker: Slow) -> None:
        newer = ask(lane, "a", 5, b"5")
        await until(lambda: worker.asked == [b"5"])
        assert await state(ask(lane, "a", 4, b"4")) == "replaced"
        worker.go.set()
        assert await newer == b"answer to 5"
        assert worker.asked == [b"5"]

    with_lane(test)


def test_other_tabs_are_not_replaced_and_come_in_their_order() -> None:
    async def test(lane: TabsInTurn, worker: Slow) -> None:
        asked = [ask(lane, tab, 1, tab.encode()) for tab in "abc"]
        await until(lambda: worker.asked == [b"a"])
        worker.go.set()
        assert await asyncio.gather(*asked) == [b"answer to a", b"answer to b", b"answer to c"]
        assert worker.asked == [b"a", b"b", b"c"]

    with_lane(test)


def test_what_takes_too_long_is_interrupted_and_the_next_one_is_asked() -> None:
    async def test(lane: TabsInTurn, worker: Slow) -> None:
        assert await state(ask(lane, "a", 1, b"1")) == "too-long"
        assert worker.killed == 1
        worker.go.set()
        assert await ask(lane, "a", 2, b"2") == b"answer to 2"

    with_lane(test, limit_s=0.01)


def test_a_process_that_is_lost_is_said_and_started_again() -> None:
    async def test(lane: TabsInTurn, worker: Slow) -> None:
        worker.lost = True
        worker.go.set()
        assert await state(ask(lane, "a", 1, b"1")) == "failed"
        worker.lost = False
        assert await ask(lane, "a", 2, b"2") == b"answer to 2"

    with_lane(test)


def test_a_workbench_that_stops_leaves_nobody_waiting() -> None:
    async def test(lane: TabsInTurn, worker: Slow) -> None:
        runs, waits = ask(lane, "a", 1, b"1"), ask(lane, "b", 1, b"2")
        await until(lambda: worker.asked == [b"1"])
        await lane.stop()
        assert [await state(runs), await state(waits)] == ["failed", "failed"]

    with_lane(test)


def test_tabs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MOST_WAITING", 1)

    async def test(lane: TabsInTurn, worker: Slow) -> None:
        first = ask(lane, "a", 1, b"a")
        await until(lambda: worker.asked == [b"a"])
        second = ask(lane, "b", 1, b"b")
        await asyncio.sleep(0)
        assert await state(ask(lane, "c", 1, b"c")) == "failed"
        worker.go.set()
        await asyncio.gather(first, second)

    with_lane(test)
