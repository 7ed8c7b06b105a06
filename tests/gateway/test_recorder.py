"""The recording front: what goes through is as it was, and what is kept is all that may be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from gateway.before import CHAT, PARTS, Fake
from servers.conftest import _serving

from harness.gateway.recorder import Exchange, RecordingApp
from harness.gateway.upstream import HttpUpstream
from harness.servers.access import Access


def on(
    test: Callable[[Fake, httpx.AsyncClient, list[Exchange]], Coroutine[Any, Any, None]], answers_as: str = ""
) -> None:
    async def main() -> None:
        fake, kept = Fake(), list[Exchange]()
        clock = asyncio.get_running_loop().time
        async with _serving(fake) as server:
            upstream = HttpUpstream(server)
            app = RecordingApp(upstream, kept.append, clock, Access("127.0.0.1"), answers_as)
            async with (
                _serving(app) as url,
                httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client,
            ):
                await test(fake, client, kept)
            upstream.close()

    asyncio.run(main())


def test_bytes_and_headers_go_through_and_the_job_does_not() -> None:
    async def test(fake: Fake, client: httpx.AsyncClient, kept: list[Exchange]) -> None:
        headers = {"authorization": "Bearer secret", "x-slotwise-job": "a"}
        answer = await client.post("/api/chat?x=1", json=CHAT, headers=headers)
        assert answer.content == b"".join(PARTS)
        ((method, path, seen, body),) = fake.seen
        assert (method, path, json.loads(body)) == ("POST", "/api/chat", CHAT)
        assert seen[b"authorization"] == b"Bearer secret" and b"x-slotwise-job" not in seen
        (one,) = kept
        assert (one.path, one.job, one.asked, one.answer) == ("/api/chat", "a", CHAT, b"".join(PARTS))
        assert (one.status, one.input_tokens, one.output_tokens, one.failed) == (200, 7, 3, "")
        assert one.start_s <= one.end_s and "secret" not in repr(one)
        tags = await client.get("/api/tags")
        assert tags.json()["models"][0]["name"] == "m" and len(kept) == 1  # no call of a model
        loads = await client.post("/api/chat", json={"model": "m", "messages": []})
        assert loads.status_code == 200 and len(kept) == 1  # only loads it

    on(test)


def test_a_server_of_one_model_answers_whatever_is_asked_for() -> None:
    async def test(fake: Fake, client: httpx.AsyncClient, kept: list[Exchange]) -> None:
        await client.post("/api/chat", json={**CHAT, "model": "llama3.2"})
        assert json.loads(fake.seen[0][3])["model"] == "only" and kept[0].asked["model"] == "llama3.2"

    on(test, answers_as="only")


@pytest.mark.parametrize(("breaks", "status", "why"), [("before", 500, "answered 500"), ("after", 200, "broke off")])
def test_a_failure_is_kept_as_one(breaks: str, status: int, why: str) -> None:
    async def test(fake: Fake, client: httpx.AsyncClient, kept: list[Exchange]) -> None:
        fake.breaks = breaks
        try:
            assert (await client.post("/api/chat", json=CHAT)).status_code == status
        except httpx.RemoteProtocolError:
            assert breaks == "after"
        assert why in kept[0].failed

    on(test)


def test_a_client_that_goes_is_noted_and_the_server_hears_of_it() -> None:
    async def test(fake: Fake, client: httpx.AsyncClient, kept: list[Exchange]) -> None:
        fake.stops = True
        async with client.stream("POST", "/api/chat", json=CHAT) as answer:
            async for _ in answer.aiter_raw():
                break
        async with asyncio.timeout(10):
            await fake.cancelled.wait()
            while not kept:  # noqa: ASYNC110 - it says so to nobody
                await asyncio.sleep(0.001)
        assert kept[0].failed == "given up by the program"

    on(test)


def test_pages_of_the_web_are_refused() -> None:
    async def test(fake: Fake, client: httpx.AsyncClient, kept: list[Exchange]) -> None:
        answer = await client.post("/api/chat", json=CHAT, headers={"origin": "https://evil.example"})
        assert answer.status_code == 403 and not fake.seen and not kept

    on(test)
