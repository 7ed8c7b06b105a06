"""Every fault of a server gives a record with an outcome and one line; docs/reference/reliability.md lists them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from faults.commands import COMMANDS
from faults.hostile import FAULTS, comes_to

from harness.core.records import ChatRequest, Reply
from harness.drivers.chat import Chat

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reliability.md"
CASES = [(name, stream) for name, fault in FAULTS.items() for stream in (True, False) if stream or fault.whole]


class Ticks:
    """A clock on which each look takes half a second."""

    now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.5
        return self.now_s


def ask(name: str, stream: bool) -> Reply:
    transport = httpx.MockTransport(lambda request: FAULTS[name].serve(stream))

    async def main() -> Reply:
        chat = Chat("http://fake:1", "m", Ticks(), transport=transport)
        async with asyncio.timeout(60):
            reply, text = await chat.ask(ChatRequest(None, "hello", {}, stream))
        await chat.close()
        assert reply.outcome == "ok" or text == ""
        return reply

    return asyncio.run(main())


@pytest.mark.parametrize(("name", "stream"), CASES, ids=lambda value: value if isinstance(value, str) else f"{value}")
def test_what_each_fault_comes_to(name: str, stream: bool) -> None:
    fault, reply = FAULTS[name], ask(name, stream)
    assert (reply.outcome, (reply.error or "")[: len(fault.says)]) == (fault.outcome, fault.says)
    assert (reply.error is None) == (not fault.says)
    assert reply.error is None or (reply.error.isprintable() and len(reply.error) <= 310)
    assert reply.done_reason is None or (reply.done_reason.isprintable() and len(reply.done_reason) <= 40)
    json.dumps(reply._asdict(), allow_nan=False)
    numbers = [value for value in reply if isinstance(value, int | float)]
    assert all(0 <= value < 1e9 for value in numbers)


def test_the_page_lists_every_fault() -> None:
    head = ("what the server does", "outcome", "how the record's error begins", "`run`", "`probe`", "`calibrate`")
    rows = [
        (name, fault.outcome, fault.says.strip() or "-", *(comes_to(name, c).strip(": ") for c in COMMANDS))
        for name, fault in FAULTS.items()
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (head, *rows)).replace(
        "|\n", "|\n|---|---|---|---|---|---|\n", 1
    )
    assert table in PAGE.read_text(encoding="utf-8"), f"expected this table in {PAGE.name}:\n{table}"
