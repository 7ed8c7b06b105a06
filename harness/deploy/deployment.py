"""What is deployed: the servers of a candidate with an address and a name in code each.

This, and what it needs, is light to import: the command line's help lists the kinds of settings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from itertools import count
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from harness.core.levers import LEVERS, risks_said
from harness.units import is_here

if TYPE_CHECKING:
    from harness.analysis.model import CandidateSummary, PoolUse, ServerUse
    from harness.workload.schema import ServerBase

__all__ = ["FIRST_SERVICE", "DeployedServer", "Deployment", "deployment_of"]

FIRST_PORT = 11434  # Ollama's own
FIRST_SERVICE = "ollama"


class DeployedServer(NamedTuple):
    """A server of a candidate, and where it listens."""

    use: ServerUse
    port: int
    identifier: str  # a part of Python names
    pipelines: str  # whose calls go there, comma-separated
    several: bool  # the candidate has others
    model: str = "MODEL"  # that its calls ask for, as Python

    @property
    def other_kind(self) -> type[ServerBase] | None:
        """What it is where it is no Ollama, so that Ollama's settings are not for it; None: they are."""
        from harness.workload.schema import KINDS

        kind = KINDS.get(self.use.kind)
        return kind if kind is not None and kind.slots_set_by else None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `ollama serve` reads, apart from its address."""
        use = self.use
        found = {"OLLAMA_NUM_PARALLEL": str(use.slots)}
        if use.context_to_set:
            found["OLLAMA_CONTEXT_LENGTH"] = str(use.context_to_set)
        if use.most_loaded:
            found["OLLAMA_MAX_LOADED_MODELS"] = str(use.most_loaded)
        if use.max_queue:
            found["OLLAMA_MAX_QUEUE"] = str(use.max_queue)
        if use.threads:
            found["LLAMA_ARG_THREADS"] = str(use.threads)
        for name, value in use.levers:
            found |= LEVERS[name].variables.get(value, {})
        return found

    @property
    def environment_on_host(self) -> dict[str, str]:
        """The same with its address, where that is not Ollama's own."""
        elsewhere = self.port != FIRST_PORT
        return ({"OLLAMA_HOST": f"127.0.0.1:{self.port}"} if elsewhere else {}) | self.environment

    @property
    def risks(self) -> tuple[str, ...]:
        """What its levers risk, as comments."""
        return tuple(f"# {risk}" for risk in risks_said(self.use.levers))

    @property
    def openai(self) -> bool:
        """Whether a program calls it with a client of OpenAI's API."""
        return (kind := self.other_kind) is not None and kind.openai_client

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return self.use.url or f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        """The other machine that it runs on already; "": it is on this one."""
        return "" if is_here(self.use.url) else urlsplit(self.use.url).hostname or ""

    @property
    def api_key(self) -> str:
        """Its API key, as Python; a client of OpenAI's API wants one even where the server takes none."""
        variable = self.use.key_variable
        return f'os.environ.get({json.dumps(variable)}, "none")' if variable else '"none"'

    @property
    def note(self) -> str:
        """What a comment beside it says: its name where there are others, and the machine that it stands on."""
        where = self.use.machine or self.host
        on = f"on {where}" if where else ""
        return " ".join(filter(None, (self.use.server if self.several else "", on)))

    @property
    def comment(self) -> str:
        """The machine that it stands on as a comment behind a line; "" where none is named."""
        return f"  # on {self.use.machine}" if self.use.machine else ""

    @property
    def service(self) -> str:
        """What the service is called: Ollama's own name where there is one server or this is the first."""
        return FIRST_SERVICE if self.port == FIRST_PORT else f"{FIRST_SERVICE}-{self.use.server}"

    @property
    def wave(self) -> int | None:
        """Calls of a wave; None where calls are not sent in waves."""
        return self.use.limit if self.use.together and (self.use.limit or 0) > 1 else None

    @property
    def limited(self) -> bool:
        """Whether a limit in code holds calls back one by one."""
        return self.use.limit is not None and self.wave is None

    @property
    def ordered(self) -> bool:
        """Whether calls that wait at that limit go by a key and not first come, first served."""
        return self.limited and self.use.key is not None

    @property
    def reserved(self) -> bool:
        """Whether batch calls have a limit of their own."""
        return self.use.batch_limit is not None

    @property
    def room(self) -> int:
        """Calls that it takes at once: its limit, or its slots where it has none."""
        return self.use.slots if self.use.limit is None else self.use.limit


class Deployment(NamedTuple):
    """A candidate as it is deployed.

    `pool` says how one of the servers is chosen, where each of them may take any call; None: each has calls of its own.
    """

    servers: tuple[DeployedServer, ...]
    pool: PoolUse | None = None

    @property
    def model(self) -> str:
        """What `MODEL` is; "" where no server tells."""
        return next((server.use.model for server in self.servers if server.use.model), "")


def deployment_of(candidate: CandidateSummary) -> Deployment:
    """Give each server of a candidate a port, from Ollama's own upwards, and find out whether they are one pool."""
    servers: list[DeployedServer] = []
    model = next((use.model for use in candidate.servers if use.model), "")
    for number, use in enumerate(candidate.servers):
        identifier = use.server.replace("-", "_").lower()
        if any(server.identifier == identifier for server in servers):
            identifier += f"_{number}"
        sent = [s.pipeline for s in candidate.pipelines if use.server in s.servers]
        several = len(candidate.servers) > 1
        asked = json.dumps(use.model) if use.model not in ("", model) else "MODEL"
        port = _port(use.url, number, {server.port for server in servers})
        servers.append(DeployedServer(use, port, identifier, ", ".join(sent), several, asked))
    return Deployment(tuple(servers), _pool(candidate, servers))


def _port(url: str, number: int, taken: Collection[int]) -> int:
    """Return where a server listens: as now where it runs here already, else the next of Ollama's own and upwards."""
    here = urlsplit(url).port if url and is_here(url) else None
    if here is not None and here not in taken:
        return here
    return next(port for port in count(FIRST_PORT + number) if port not in taken)


def _pool(candidate: CandidateSummary, servers: Sequence[DeployedServer]) -> PoolUse | None:
    """Return how one of the servers is chosen, where every call may go to any of them; waves go to each by itself."""
    choices = {pool._replace(pipeline="") for pool in candidate.pools}
    alike = len({(server.use.concurrency, server.use.scheduling, server.openai) for server in servers}) == 1
    special = any(server.wave or server.reserved for server in servers)
    whole = (
        all(pool.code for pool in choices) and len(candidate.pools) == len(candidate.pipelines) and len(choices) == 1
    )
    return choices.pop() if whole and alike and not special and len(servers) > 1 else None
