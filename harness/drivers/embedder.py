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

from harness.bounded import VECTORS_BYTES, without_proxies
from harness.core.records import EmbedRequest, Reply
from harness.drivers.chat import QUEUE_HEADER, client_settings, explain
from harness.drivers.figures import figures_of, number_in

with without_proxies():
    from langchain_ollama import OllamaEmbeddings

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
            async_client_kwargs=client_settings(_look, transport, VECTORS_BYTES),
            # The synchronous client is never used; building its TLS context would cost 20 ms.
            sync_client_kwargs={"verify": False, "trust_env": False},
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
    said = {key.decode(): int(value) for key, value in _COUNTS.findall(response.content)}
    found = figures_of(said, number_in(response.headers.get(QUEUE_HEADER)), end_s - sent_s)
    worked_s = None if found.queue_s is None else (found.total_s or 0) - (found.load_s or 0) - found.queue_s
    return Reply(
        "ok",
        sent_s=sent_s,
        end_s=end_s,
        error=found.doubt,
        prompt_tokens=found.prompt_tokens,
        total_s=found.total_s or None,
        load_s=found.load_s if found.total_s else None,
        prefill_s=None if worked_s is None else max(0.0, worked_s),
        queue_s=found.queue_s,
    )
