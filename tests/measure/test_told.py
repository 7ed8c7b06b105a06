"""What a server's log tells of calls: one that tells nothing is waited for once, and not after every trial."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from harness.core.records import CallRecord, Reply
from harness.measure.told import LATE_S, told
from harness.servers.engine_log import EngineLog, Served

REPLY = Reply("ok", sent_s=0.0, end_s=1.0, prompt_tokens=49, output_tokens=15)
CALL = CallRecord(
    "c", 0, "measured", "work", "batch", 0, "n", 0, 0, 0, 0, "a", "m", "one", 0.0, 0.0, REPLY
)  # fmt: skip
LINES = b"""\
slot   operator(): id  1 | task 5 | new prompt, n_ctx_slot = 512, n_keep = 4, task.n_tokens = 49
slot   operator(): id  1 | task 5 | cached n_tokens = 4, memory_seq_rm [4, end)
slot print_timing: id  1 | task 5 |        eval time =   12.69 ms /    15 tokens (  0.84 ms per token,  1.1 per second)
slot      release: id  1 | task 5 | stop processing: n_tokens = 63, truncated = 0
"""

Run = Callable[[Callable[[Any], Coroutine[Any, Any, list[float]]]], list[float]]


def test_a_log_that_tells_nothing_is_waited_for_once(run_virtual: Run) -> None:
    log = EngineLog(lambda at: b"words of another engine\n"[at:])

    async def main(loop: Any) -> list[float]:
        waits = []
        for _ in range(3):
            began_s = loop.time()
            assert await told([CALL], {"one": log}) == []
            waits.append(loop.time() - began_s)
        return waits

    first, *others = run_virtual(main)
    assert first >= LATE_S
    assert others == [0.0, 0.0]


def test_lines_that_come_after_the_answer_are_waited_for(run_virtual: Run) -> None:
    async def main(loop: Any) -> list[float]:
        log = EngineLog(lambda at: LINES[at:] if loop.time() >= 0.1 else b"")
        assert await told([CALL], {"one": log}) == [(CALL, Served(1, 49, 4, 15))]
        return [loop.time()]

    (ended_s,) = run_virtual(main)
    assert 0.1 <= ended_s < LATE_S
