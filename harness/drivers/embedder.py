"""One request for embeddings through OllamaEmbeddings, with its times and with every failure turned into an outcome.

`aembed_documents` hands on the vectors and nothing else, so the counts are read off the response by an httpx hook. It
sends no options but those of the instance, and all texts in one request.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import httpx
from langchain_ollama import OllamaEmbeddings

from harness.core.records import EmbedRequest, Reply
from harness.drivers.chat import QUEUE_HEADER, client_settings, explain

__all__ = ["Embedder"]

_COUNTS = re.compile(rb'"(total_duration|load_duration|prompt_eval_count)":\s*(\d{1,18})(?!\d)')
_seen: ContextVar[list[httpx.Response] | None] = ContextVar("seen", default=None)


class Embedder:
    """One server and embedding model.

    Args:
        url: the server's base URL, with scheme and port.
        model: name of the model.
        clock: seconds, never going backwards.
        transport: for tests: answers instead of the network.
    """

    def __init__(
        self, url: str, model: str, clock: Callable[[], float], *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._clock = clock
        self._model = OllamaEmbeddings(
            model=model,
            base_url=url,
            keep_alive=None,  # the server's own, as for every call
            async_client_kwargs=client_settings(_look, transport),
            sync_client_kwargs={"verify": False},  # never used; building its TLS context costs 20 ms
        )

    async def close(self) -> None:
        """Close the connections."""
        client: Any = self._model._async_client
        await client._client.aclose()

    async def embed(self, request: EmbedRequest, zero_s: float = 0.0) -> Reply:
        """Carry out one request and return how it went; `zero_s` is the clock's time that counts as 0 in the reply.

        Raises nothing but CancelledError: what a server or the transport does wrong is an outcome.
        """
        seen: list[httpx.Response] = []
        _seen.set(seen)
        sent_s = self._clock() - zero_s
        try:
            vectors = await self._model.aembed_documents(list(request.texts))
        except Exception as error:  # noqa: BLE001  a server's failure is a record, whatever its type
            outcome, reason = explain(error)
            return Reply(outcome, sent_s=sent_s, end_s=self._clock() - zero_s, error=reason)
        end_s = self._clock() - zero_s
        if len(vectors) != len(request.texts):
            reason = f"expected {len(request.texts)} vectors, one for each text, found {len(vectors)}"
            return Reply("error", sent_s=sent_s, end_s=end_s, error=reason)
        return _reply(sent_s, end_s, seen[-1] if seen else None)


async def _look(response: httpx.Response) -> None:
    seen = _seen.get()
    if seen is not None:
        await response.aread()
        seen.append(response)


def _reply(sent_s: float, end_s: float, response: httpx.Response | None) -> Reply:
    if response is None:
        return Reply("ok", sent_s=sent_s, end_s=end_s)
    counts = {key.decode(): int(value) for key, value in _COUNTS.findall(response.content)}
    queue_ns = response.headers.get(QUEUE_HEADER, "")
    total_s, load_s = counts.get("total_duration", 0) / 1e9, counts.get("load_duration", 0) / 1e9
    queue_s = int(queue_ns) / 1e9 if queue_ns.isdecimal() and len(queue_ns) < 19 else None
    return Reply(
        "ok",
        sent_s=sent_s,
        end_s=end_s,
        prompt_tokens=counts.get("prompt_eval_count"),
        total_s=total_s or None,
        load_s=load_s if total_s else None,
        prefill_s=None if queue_s is None else total_s - load_s - queue_s,
        queue_s=queue_s,
    )
