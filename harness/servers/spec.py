"""How a kind of server is launched, and what a started server looks like to the rest of the harness."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from harness.core.records import ChatRequest, Reply
from harness.servers import models
from harness.servers.access import OWN_MACHINE, Access
from harness.servers.engine_log import EngineLog
from harness.units import safe_url

__all__ = ["Around", "Client", "Connect", "Launch", "Launched", "RunningServer", "Say", "Working"]

Say = Callable[[str], None]


class RunningServer(NamedTuple):
    """A server that answers. `slots_asked` is what was configured; only a probe knows what it really has."""

    name: str
    kind: str  # of its spec
    url: str
    model: str  # the name to put in requests
    slots_asked: int | None  # None: a running server that was only named by URL
    managed: bool  # started by us, to be stopped by us
    version: str  # engine name and version, for the record
    exact_queue: bool  # tells its queue wait in a response header (our own front)
    can_pin_output: bool  # honours ignore_eos
    details: dict[str, str | int | float]  # threads, batch_tokens, context_tokens, slots_logged, size_bytes, ...
    emulated: bool = False  # behind it is a model, not an engine: nothing timed there is measured
    names: Mapping[str, str] = {}  # where it serves several models: what each, as asked for, is called in requests
    embeds: Mapping[str, str] = {}  # the same of models that embed
    tells_times: bool = True  # of prompt and answer, on its own clock; else a probe goes by what it sees of the stream
    can_unload: bool = False  # its model can be taken out of memory, which disturbs nobody, and loaded again
    embedded: bool = False  # the embedded engine: it sees no images, and first tokens can take the place of thinking

    @property
    def shown(self) -> str:
        """Its address for people, without what is secret in it: the server's own where our front is before it."""
        return str(self.details.get("upstream") or safe_url(self.url))

    @property
    def answers(self) -> bool:
        """Whether it has a model that answers; else all it does is to embed."""
        return self.model not in self.embeds.values()


class Client(Protocol):
    """What carries the calls to one model of a server."""

    async def ask(self, request: ChatRequest, zero_s: float = 0.0) -> tuple[Reply, str]:
        """Carry out one call; return how it went and the answer's text ("" unless it went well).

        `zero_s` is the event loop's time that counts as 0 in the reply. Raises nothing but CancelledError: what a
        server or the transport does wrong is an outcome.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


# From the address of a server and the name of a model there.
Connect = Callable[[str, str], Client]


# How many of its slots work right now, for whomever; None: it did not say.
Working = Callable[[], Awaitable[int | None]]


class Launched(NamedTuple):
    """What a launcher yields: a server that is loaded and ready, its clients, and its engine's log."""

    server: RunningServer
    connect: Connect
    log: EngineLog | None = None  # where it is ours, and is of one engine
    working: Working | None = None  # where it tells that

    def client(self, model: str) -> Client:
        """Open the client to one of its models, by the name in requests; the caller that opens it closes it."""
        return self.connect(self.server.url, model)


class Around(NamedTuple):
    """What a server is launched with, whatever its kind; `harness.servers.launch.launched` explains each."""

    say: Say
    connect: Connect  # opens the client of a server that speaks Ollama's API
    progress: models.Progress | None = None
    access: Access = OWN_MACHINE
    port: int = 0
    patience_s: float | None = None
    near: Path | None = None
    played: Mapping[str, RunningServer] = {}
    asked: tuple[str, ...] = ()
    embeds: tuple[str, ...] = ()


class Launch(Protocol):
    """A kind's launcher: yields the server that the spec describes, and always stops what it started."""

    def __call__(self, name: str, spec: Any, around: Around, /) -> AbstractAsyncContextManager[Launched]:
        """Launch a server of this kind; `spec` is one of its models in `harness.workload.schema.servers`."""
        ...
