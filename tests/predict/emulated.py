"""A workload on simulated servers in this process, on a virtual clock: for tests that hold a prediction to a run of it.

The run is the measured one: the same sender, texts, conversations and ChatOllama; only the servers are ours.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from conftest import VirtualLoop
from quiet import Quiet
from servers.asgi import AppTransport

from harness.content import shipped
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.drivers.chat import Chat
from harness.drivers.embedder import Embedder
from harness.measure import session
from harness.measure.sender import Endpoint
from harness.runs.folder import RunFolder
from harness.runs.model import Run
from harness.servers.distance import Distant
from harness.servers.front.app import create_app
from harness.servers.simulated import emulation
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine
from harness.servers.spec import RunningServer
from harness.workload.load import Loaded, load_workload

PROFILE = "epyc-2core"


class Kept:
    """A run folder's part in a trial: it keeps the records in memory."""

    def __init__(self) -> None:
        self.calls: list[CallRecord] = []
        self.jobs: list[JobRecord] = []
        self.delays: list[DelayRecord] = []
        self.add_call, self.add_job, self.add_delay = self.calls.append, self.jobs.append, self.delays.append

    def sync(self) -> None:
        """Nothing to carry to a disk."""

    def add_trial(self, trial: object) -> None:
        """Nothing more to keep."""


def with_embedding(profile: str, model: str, folder: Path, *, stretch: float = 1.0) -> str:
    """Write the text of a profile with made-up costs of embedding, in multiples of 1/512 s; return its path.

    What a request costs besides its texts is 0: it is that of the client and the way to the server, and of what is
    emulated here both take no time.
    """
    plain = yaml.safe_load(profile)
    costs = {"request_s": 0, "text_s": 0.0078125, "token_s": 0.001953125}
    file = folder / "embedding.yaml"
    plain |= {"name": file.stem, "embedding": {"model": model, **costs, "stretch": stretch}}
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return str(file)


def on_simulated_servers(path: Path, folder: Path, context_tokens: int = 8192) -> Loaded:
    """Load a workload with every server simulated, on the shipped profile; what embedding costs is made up."""
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    nodes = [node for pipeline in plain["pipelines"].values() for node in pipeline["nodes"].values()]
    models = [node["embed"]["model"] for node in nodes if "embed" in node]
    profile = PROFILE
    if models:
        shipped_one = shipped() / "profiles" / f"{PROFILE}.yaml"
        profile = with_embedding(shipped_one.read_text(encoding="utf-8"), models[0], folder)
    servers = plain.get("servers") or {"four-slot": {"slots": 4}, "one-slot": {"slots": 1}}
    plain["servers"] = {
        name: {
            "kind": "simulated",
            "profile": profile,
            "slots": spec.get("slots", 1),
            "context_tokens": context_tokens,
            "extrapolate": True,
            **({"threads": "half"} if spec.get("threads") == "half" else {}),
        }
        for name, spec in servers.items()
    }
    for agent in (plain.get("agents") or {}).values():
        agent.pop("model", None)  # a simulated server has one model, whatever it is called
    made = folder / path.name
    made.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    if (path.parent / "data").is_dir() and not (folder / "data").exists():
        shutil.copytree(path.parent / "data", folder / "data")
    return load_workload(made)


def endpoint_of(loop: asyncio.AbstractEventLoop, name: str, spec: Any) -> Endpoint:
    """Return a simulated server in this process, on the clock of the loop."""
    config, details = emulation(name, spec)
    simulated = SimulatedConfig.from_json(config["engine"])
    app = create_app(SimulatedEngine(simulated), lambda: round(loop.time() * 1e9))
    url = f"http://{name}:80"
    distant = Distant(app, simulated.costs.before_s, simulated.costs.after_s)
    chat = Chat(url, spec.model, loop.time, transport=AppTransport(distant))
    server = RunningServer(
        name, "simulated", url, spec.model, spec.slots, True, "t", True, True, details, emulated=True
    )
    if simulated.embedding is None:
        return Endpoint(server, chat, None)
    model = simulated.embedding.model_name
    embedder = Embedder(url, model, loop.time, transport=AppTransport(distant))
    return Endpoint(server._replace(embeds={model: model}), chat, None, embedders={model: embedder})


async def close(endpoint: Endpoint) -> None:
    """Close the clients of a server."""
    await endpoint.chat.close()
    for embedder in endpoint.embedders.values():
        await embedder.close()


@contextmanager
def in_this_process() -> Iterator[None]:
    """Let `slotwise run` find its simulated servers in this process, and run on a virtual clock."""

    @asynccontextmanager
    async def opened(name: str, spec: Any, *_: Any) -> AsyncIterator[Endpoint]:
        endpoint = endpoint_of(asyncio.get_running_loop(), name, spec)
        yield endpoint
        await close(endpoint)

    @asynccontextmanager
    async def none_started(*_: Any, **__: Any) -> AsyncIterator[dict[str, Any]]:
        yield {}

    def run_virtual(main: Coroutine[Any, Any, Run]) -> Run:
        loop = VirtualLoop()
        try:
            return loop.run_until_complete(main)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "opened", opened)
        patch.setattr(session, "simulated", none_started)
        patch.setattr(asyncio, "run", run_virtual)
        yield


async def emulate(loop: VirtualLoop, loaded: Loaded, plan: Plan, repeat: int) -> Kept:
    """Run one trial of one candidate on simulated servers."""
    endpoints = {queue.server: endpoint_of(loop, queue.server, loaded.servers[queue.server]) for queue in plan.queues}
    kept = Kept()
    trial = session._Trial(plan, repeat)
    await session._measure_trial(loaded, endpoints, trial, 0, cast(RunFolder, kept), Quiet())
    for endpoint in endpoints.values():
        await close(endpoint)
    return kept
