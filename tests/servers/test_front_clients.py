"""Real clients against the front: the `ollama` package and ChatOllama."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import ollama
import pytest
from langchain_ollama import ChatOllama
from starlette.applications import Starlette

from harness.servers.front.app import QUEUE_HEADER, create_app
from harness.servers.front.canned import CannedEngine

Serve = Callable[[Starlette], AbstractAsyncContextManager[str]]
HI = [{"role": "user", "content": "hi there"}]


def test_the_ollama_client(serve: Serve) -> None:
    def talk(url: str) -> None:
        client = ollama.Client(host=url)
        try:
            (listed,) = client.list().models
            assert (listed.model, listed.size) == ("canned:latest", 1000)
            assert listed.details is not None
            assert listed.details.family == "canned"
            assert client.show("canned").modelinfo == {"general.architecture": "canned"}
            (loaded,) = client.ps().models
            assert loaded.context_length == 256
            assert loaded.expires_at is not None
            whole = client.chat("canned", HI, options={"num_predict": 3})
            assert whole.message.content == " sea salt sun"
            assert (whole.eval_count, whole.prompt_eval_count, whole.done_reason) == (3, 2, "length")
            assert (whole.total_duration or 0) >= (whole.load_duration or 0)
            pieces = list(client.chat("canned", HI, stream=True, options={"num_predict": 3}))
            assert [p.message.content for p in pieces] == [" sea", " salt", " sun", ""]
            written = client.generate("canned", "once", options={"num_predict": 2})
            assert (written.response, written.eval_duration) == (" sea salt", 1000)
            parts = list(client.generate("canned", "once", stream=True, options={"num_predict": 2}))
            assert "".join(p.response or "" for p in parts) == " sea salt"
            assert client.generate("canned").done_reason == "load"
            with pytest.raises(ollama.ResponseError) as caught:
                client.chat("nobody", HI)
            assert (caught.value.status_code, caught.value.error) == (404, "model 'nobody' not found")
            with pytest.raises(ollama.ResponseError, match="the engine broke"):
                list(client.chat("canned", [{"role": "user", "content": "break"}], stream=True))
        finally:
            client._client.close()

    async def steps() -> None:
        async with serve(create_app(CannedEngine(slots=2))) as url:
            await asyncio.to_thread(talk, url)

    asyncio.run(steps())


@pytest.mark.parametrize("stream", [False, True])
def test_chat_ollama(serve: Serve, stream: bool) -> None:
    async def steps() -> None:
        queues: list[int] = []

        async def note(response: httpx.Response) -> None:
            queues.append(int(response.headers[QUEUE_HEADER]))

        engine = CannedEngine()
        async with serve(create_app(engine)) as url:
            model = ChatOllama(
                model="canned",
                base_url=url,
                num_predict=4,
                num_ctx=256,
                seed=1,
                temperature=0,
                reasoning=False,
                async_client_kwargs={"event_hooks": {"response": [note]}, "timeout": 60},
            )
            kwargs: dict[str, Any] = {} if stream else {"stream": False}
            replies = await asyncio.gather(*(model.ainvoke("hi there", **kwargs) for _ in range(3)))
            await model._async_client._client.aclose()
            model._client._client.close()
        for reply in replies:
            assert reply.content == " sea salt sun sea"
            assert reply.response_metadata["done_reason"] == "length"
            assert reply.response_metadata["eval_duration"] == 1000
            assert reply.usage_metadata == {"input_tokens": 2, "output_tokens": 4, "total_tokens": 6}
        assert engine.running_most == 1
        assert len(queues) == 3
        assert [r.stream for r in engine.requests] == [stream] * 3
        assert all((r.num_predict, r.options["seed"]) == (4, 1) for r in engine.requests)

    asyncio.run(steps())
