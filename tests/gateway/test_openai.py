"""Servers that speak OpenAI's API behind the gateway: clients speak Ollama's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ollama
import pytest
from fake_openai import FakeOpenAi

from harness.app.gateway import RunningGateway, _until_told
from harness.app.options import GatewayOptions
from harness.errors import ServerFailure, UserError
from harness.measure.progress import SILENT

KEY = "sk-not-to-be-told-1234"


def behind(url: str, use: Callable[[ollama.AsyncClient], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        running = asyncio.get_running_loop().create_future()
        given = GatewayOptions(upstreams=(url,), port=0, **options)
        told = asyncio.create_task(_until_told(given, [url], running.set_result, SILENT))
        await asyncio.wait({told, running}, return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            await told
        up: RunningGateway = await running
        assert [queue.server for queue in up.plan.queues] == [url]
        client = ollama.AsyncClient(host=up.url, trust_env=False)
        try:
            await use(client)
        finally:
            await client._client.aclose()
        told.cancel()
        await asyncio.wait({told})

    asyncio.run(main())


def test_an_ollama_client_uses_a_server_of_openai_through_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_KEY", KEY)
    fake = FakeOpenAi(key=KEY)

    async def use(client: ollama.AsyncClient) -> None:
        assert [model.model for model in (await client.list()).models] == ["m:latest"]
        said = await client.chat("m", [{"role": "user", "content": "Hi"}])
        assert (said.message.content, said.prompt_eval_count, said.eval_count) == ("so", 10, 2)
        parts = [
            part.message.content
            async for part in await client.chat("m", [{"role": "user", "content": "Hi"}], stream=True)
        ]
        assert parts == ["so", ""]

    with fake.listening() as url:
        behind(url, use, slots=(2,), upstream_key_env="THEIR_KEY")
    assert [chat["messages"][-1]["content"] for chat in fake.chats[-2:]] == ["Hi", "Hi"]


def test_of_several_models_one_has_to_be_named() -> None:
    async def use(client: ollama.AsyncClient) -> None:
        assert (await client.chat("b", [{"role": "user", "content": "Hi"}])).message.content == "so"

    with FakeOpenAi(models=["a", "b"]).listening() as url:
        with pytest.raises(
            UserError, match=r"speaks OpenAI's API and has several models \(a, b\); name one by --model"
        ):
            behind(url, use, slots=(1,))
        behind(url, use, slots=(1,), model="b")


def test_a_server_that_speaks_neither_is_said() -> None:
    async def use(client: ollama.AsyncClient) -> None: ...

    with FakeOpenAi().listening() as url, pytest.raises(ServerFailure, match=r"404 to /api/version.*ends in /v1"):
        behind(url.removesuffix("/v1") + "/elsewhere", use)
