"""What all prompts begin with, counted on a server that keeps the last prompt of each slot and compares characters."""

from __future__ import annotations

import asyncio
import re
from itertools import takewhile
from operator import eq

import pytest

from harness.core.records import ChatRequest, Reply
from harness.measure.sender import Endpoint
from harness.measure.texts import count_digits, count_opening, count_shared
from harness.servers.engine_log import EngineLog, Served
from harness.servers.spec import RunningServer

SERVER = RunningServer("one", "llamacpp", "http://127.0.0.1:1", "m", 1, True, "engine 1", True, True, {})


class Keeping:
    """A character is a token. A call takes the slot that has most of its prompt, as llama.cpp does."""

    def __init__(self, slots: list[str], *, tells: bool = True) -> None:
        self.slots, self.tells = slots, tells
        self.served: list[Served] = []

    async def ask(self, request: ChatRequest, zero_s: float = 0.0) -> tuple[Reply, str]:
        system = request.system or "you help"
        prompt = f"<s>{system}<u>{request.user}"
        found = [sum(1 for _ in takewhile(bool, map(eq, held, prompt))) for held in self.slots]
        slot = found.index(max(found))
        self.slots[slot] = prompt
        self.served.append(Served(slot, len(prompt), found[slot], 1))
        told = found[slot] if self.tells else None
        return Reply("ok", prompt_tokens=len(prompt), output_tokens=1, end_s=1.0, cached_tokens=told), "a"

    async def close(self) -> None: ...


class Log(EngineLog):
    """What the engine of a `Keeping` wrote."""

    def __init__(self, engine: Keeping) -> None:
        super().__init__(lambda at: b"")
        self._engine = engine

    def served(self) -> list[Served]:
        served, self._engine.served = self._engine.served, []
        return served


def opening(endpoint: Endpoint, *, system: bool) -> int | None:
    return asyncio.run(count_opening(endpoint, system=system))


@pytest.mark.parametrize(("system", "expected"), [(False, len("<s>you help<u>[")), (True, len("<s>["))])
def test_it_is_what_two_prompts_have_in_common(system: bool, expected: int) -> None:
    assert opening(Endpoint(SERVER, Keeping([""]), None), system=system) == expected


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_prompts_from_before_that_begin_with_the_same_digits_do_not_count(slots: int) -> None:
    before = [f"<s>[{digit}12345] You review plans.<u>A plan" for digit in range(1, slots + 1)]
    assert opening(Endpoint(SERVER, Keeping(before), None), system=True) == len("<s>[")


def test_it_is_read_from_the_log_of_an_engine_that_does_not_tell_it_in_its_replies() -> None:
    engine = Keeping(["", ""], tells=False)
    assert opening(Endpoint(SERVER, engine, None, log=Log(engine)), system=True) == len("<s>[")


def test_it_is_unknown_where_nothing_tells_it() -> None:
    assert opening(Endpoint(SERVER, Keeping([""], tells=False), None), system=True) is None


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_digits_are_what_numbers_that_begin_alike_have_in_common(slots: int) -> None:
    endpoint = Endpoint(SERVER, Keeping(["<s>[123456] You review plans."] * slots), None)
    known = len("<s>you help<u>[")
    assert asyncio.run(count_digits(endpoint, known)) == (1, 2, 3, 4, 5)


def test_digits_that_stand_together_in_a_token_count_together() -> None:
    """As in tokenizers that take three digits at a time."""

    class Threes(Keeping):
        async def ask(self, request: ChatRequest, zero_s: float = 0.0) -> tuple[Reply, str]:
            reply, answer = await super().ask(request)
            digits = (reply.cached_tokens or 0) - len("<s>you help<u>[")
            return reply._replace(cached_tokens=len("<s>you help<u>[") + max(0, digits) // 3), answer

    known = len("<s>you help<u>[")
    assert asyncio.run(count_digits(Endpoint(SERVER, Threes([""]), None), known)) == (0, 0, 1, 1, 1)


class Words(Keeping):
    """A word or a stop is a token, and so is each character of the template and the numbers."""

    async def ask(self, request: ChatRequest, zero_s: float = 0.0) -> tuple[Reply, str]:
        system = re.sub(r" ?(?:[a-z]+|\.)", "w", request.system or "")
        return await super().ask(request._replace(system=system))


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_shared_is_all_up_to_the_bracket_before_the_own_number(slots: int) -> None:
    engine = Words(["<s>[000000] You review plans."] * slots)
    assert asyncio.run(count_shared(Endpoint(SERVER, engine, None))) == (1.0, len("<s>[000000]<u>["))


def test_digits_and_shared_are_unknown_where_nothing_tells_them() -> None:
    endpoint = Endpoint(SERVER, Keeping([""], tells=False), None)
    assert asyncio.run(count_digits(endpoint, 3)) is None
    assert asyncio.run(count_shared(endpoint)) is None
