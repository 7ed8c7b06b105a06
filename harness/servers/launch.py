"""Launch servers (or find running ones) for as long as they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from harness.core.device import share_on_cpu
from harness.servers import llamacpp, models, ollama, openai, simulated
from harness.servers.access import OWN_MACHINE, Access
from harness.servers.spec import Around, Client, Connect, Launch, Launched, RunningServer, Say
from harness.units import count
from harness.workload.schema import ServerSpec

__all__ = ["KINDS", "launched"]

KINDS: dict[str, Launch] = {
    "llamacpp": llamacpp.launch,
    "ollama": ollama.launch,
    "openai": openai.launch,
    "simulated": simulated.launch,
}


def _nobody_calls(url: str, model: str) -> Client:
    raise TypeError("a client was asked for, and `launched` was given no way to open one (`connect`)")


@asynccontextmanager
async def launched(
    name: str,
    spec: ServerSpec,
    *,
    say: Say,
    connect: Connect = _nobody_calls,
    progress: models.Progress | None = None,
    access: Access = OWN_MACHINE,
    port: int = 0,
    patience_s: float | None = None,
    near: Path | None = None,
    played: Mapping[str, RunningServer] | None = None,
    asked: Sequence[str] = (),
    embeds: Sequence[str] = (),
) -> AsyncIterator[Launched]:
    """Yield the server that `spec` describes, loaded and ready, and its clients; what was started is stopped after.

    Args:
        name: of the server.
        spec: of the server.
        say: told what is being done, in lines.
        connect: opens the client of a server that speaks Ollama's API; left out where nothing is called.
        progress: called with bytes while a model is fetched.
        access, port: where an embedded or simulated server listens, and to whom; port 0 takes a free one.
        patience_s: how long a server that was not started here may take to load its model (at least half a minute);
            one of ours dies rather than hang.
        near: the workload's folder, where profiles are looked for first.
        played: simulated servers that have been started already, see `harness.servers.simulated.simulated`.
        asked: the models that it has to answer with; left out, the one of `spec`, unless it only embeds.
        embeds: the models that it has to embed with.
    """
    around = Around(say, connect, progress, access, port, patience_s, near, played or {}, tuple(asked), tuple(embeds))
    async with KINDS[spec.kind](name, spec, around) as up:
        if share := share_on_cpu(up.server.details):
            say(
                f"{name}: layers on the CPU: {share:.0%} of its model did not fit onto the accelerator beside the "
                f"cache of {count(spec.slots, 'slot')}; give it fewer slots or a smaller context"
            )
        yield up
