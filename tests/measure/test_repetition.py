"""A model that repeats itself: Ollama ends such an answer without a final line, and nothing else is wrong."""

from __future__ import annotations

import asyncio
import json

import pytest
from fake_ollama import FakeOllama, Fault

from harness.drivers.chat import Chat
from harness.drivers.repetition import REPEATED, repeats_itself
from harness.errors import ServerFailure
from harness.measure.burst_design import Burst, Group
from harness.measure.bursts import LiveBursts
from harness.measure.probe import burst
from harness.measure.sender import Endpoint
from harness.servers.spec import RunningServer

ENDED = {"model": "m", "message": {"role": "assistant", "content": "and the" + " very" * 31}, "done": False}


def repeating(times: int) -> FakeOllama:
    """An Ollama whose model repeats itself where nothing is drawn, so many times at most."""
    fake = FakeOllama()
    left = [times]

    def fault(number: int) -> Fault | None:
        if fake.chats[number - 1]["options"]["temperature"] > 0 or not left[0]:
            return None
        left[0] -= 1
        return 200, json.dumps(ENDED).encode()

    fake.misbehave = fault
    return fake


def endpoint(fake: FakeOllama, loop: asyncio.AbstractEventLoop) -> Endpoint:
    server = RunningServer("s", "ollama", "http://fake:1", "m", 2, False, "ollama 0", False, False, {})
    return Endpoint(server, Chat("http://fake:1", "m", loop.time, transport=fake.transport()), None)


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("so" + " very" * 31, True),
        ("ha" * 40, True),
        ("a line" + "\n" * 31, True),
        ("ab" * 14, False),
        ("This is how it ends.", False),
        ("", False),
    ],
)
def test_a_text_that_repeats_itself_is_told_from_one_that_was_cut(text: str, repeats: bool) -> None:
    assert repeats_itself(text) == repeats


def test_a_probe_asks_again_and_draws_its_answers() -> None:
    fake = repeating(1)

    async def probe() -> int:
        return len(await burst(endpoint(fake, asyncio.get_running_loop()), 2, 8, key=1))

    assert asyncio.run(probe()) == 2
    temperatures = [chat["options"]["temperature"] for chat in fake.chats]
    assert temperatures == [0.0, 0.0, 1.0, 1.0]
    assert len({chat["messages"][-1]["content"] for chat in fake.chats}) == 4  # no prompt is found in a cache


def test_a_model_that_never_stops_repeating_itself_is_called_that() -> None:
    fake = FakeOllama(misbehave=lambda number: (200, json.dumps(ENDED).encode()))

    async def probe() -> None:
        await burst(endpoint(fake, asyncio.get_running_loop()), 1, 8, key=1)

    with pytest.raises(ServerFailure, match="the model repeated itself, and the server ended the answer"):
        asyncio.run(probe())
    assert len(fake.chats) == 3


def test_bursts_of_a_calibration_are_sent_again_and_stay_drawn() -> None:
    fake = repeating(1)

    async def calibrate() -> list[str | None]:
        bursts = LiveBursts([endpoint(fake, asyncio.get_running_loop())])
        records = await bursts(Burst("b", (Group(2, 32, 8),)), 0)
        records += await bursts(Burst("b", (Group(1, 32, 8),)), 1)
        return [record.reply.done_reason for record in records]

    assert asyncio.run(calibrate()) == ["length"] * 3
    assert [chat["options"]["temperature"] for chat in fake.chats] == [0.0, 0.0, 1.0, 1.0, 1.0]


def test_a_record_says_why() -> None:
    fake = repeating(1)

    async def ask() -> tuple[str, str | None]:
        records = await LiveBursts([endpoint(fake, asyncio.get_running_loop())])._once(
            Burst("b", (Group(1, 32, 8),)), 0
        )
        return records[0].outcome, records[0].reply.done_reason

    assert asyncio.run(ask()) == ("error", REPEATED)
