"""Stand before running Ollama servers, and let the calls of any client through by the policies of runs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from starlette.types import Receive, Scope, Send

from harness.app.gateway_from import plan_from
from harness.app.gateway_upstreams import Reached, reach, variable
from harness.app.options import GatewayOptions
from harness.app.web import answering, quiet_server, serve_quietly
from harness.core.arrival_processes import Requests
from harness.core.graph import Graph, Node, Pipeline
from harness.core.open_engine import OpenEngine
from harness.core.plan import Plan, Pool, ServerQueue
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.drivers.gateway import Gate
from harness.errors import UserError, did_you_mean
from harness.gateway.app import VIA_HEADER, GatewayApp
from harness.gateway.classes import CLASSES, Classes
from harness.gateway.health import Health
from harness.gateway.metrics import Metrics
from harness.gateway.upstream import Headers
from harness.measure.probe import find_slots
from harness.measure.progress import SILENT, Progress
from harness.measure.session import opened
from harness.own_policies import read_policies
from harness.servers.access import Access
from harness.servers.child import listen
from harness.servers.ollama_api import normal_url, only_model
from harness.units import count, safe_url
from harness.workload.schema import OllamaServer

__all__ = ["RunningGateway", "gateway", "plan_of_gateway"]

GRACE_S = 5  # for calls in flight, when it ends
CALL = Graph((Node("call", "agent", (), (), agent="client"),))
PIPELINES = tuple(Pipeline(path, path, CALL, Requests(), None) for path in CLASSES)


class RunningGateway(NamedTuple):
    """A gateway that is up."""

    url: str
    plan: Plan


def gateway(
    options: GatewayOptions, up: Callable[[RunningGateway], None] = lambda it: None, progress: Progress = SILENT
) -> bool:
    """Let calls through until a signal ends it (Ctrl-C or a polite kill).

    Args:
        options: the servers, the policies, and who is interactive.
        up: is told of the gateway once it answers.
        progress: is told what is found of the servers, and when one goes and comes back.

    Returns:
        Whether it was up: False where the signal came before.

    Raises:
        UserError: options that do not go together, a port that is taken, a server that is this gateway itself.
        ServerFailure: a server does not answer.
    """
    urls = [normal_url("--upstream", url) for url in options.upstreams]
    if len(set(urls)) < len(urls):
        raise UserError("--upstream: each server once; the same URL is there twice")
    if len(options.slots) not in (0, 1, len(urls)):
        expected = f"one --slots for all or one for each of {count(len(urls), 'upstream')}"
        raise UserError(f"expected {expected}, found {len(options.slots)}")
    _plan(options, [safe_url(url) for url in urls], [64] * len(urls))  # mistakes first, before anything runs
    try:
        return asyncio.run(_until_told(options, urls, up, progress))
    except asyncio.CancelledError:
        return False


def _plan(options: GatewayOptions, servers: Sequence[str], slots: Sequence[int]) -> Plan:
    """Return the plan of the run that is named, or of the policies; without slots a run's own are taken."""
    if options.run is not None:
        return plan_from(options.run, servers, slots, options.policies)
    return plan_of_gateway(options, servers, slots)


def plan_of_gateway(options: GatewayOptions, servers: Sequence[str], slots: Sequence[int]) -> Plan:
    """Return the policies before these servers as a plan of the engine; UserError where they cannot be."""
    every = read_policies(options.policies)
    _known("--concurrency", options.concurrency, every.concurrency)
    _known("--scheduling", options.scheduling, every.scheduling)
    _known("--placement", options.placement, every.placement)
    concurrency, scheduling = every.concurrency[options.concurrency], every.scheduling[options.scheduling]
    for name in ("limit", "reserve"):
        if getattr(options, name) is not None and name not in concurrency.settings:
            raise UserError(f'--{name}: the concurrency policy "{concurrency.name}" has none; leave it out')
    if options.ageing_s is not None and "ageing_s" not in scheduling.settings:
        raise UserError(f'--ageing-s: the scheduling policy "{scheduling.name}" has none; leave it out')
    if scheduling.needs_jobs:
        raise UserError(
            f'--scheduling: "{scheduling.name}" goes by what a workload says of its jobs, and a gateway sees single '
            "calls; choose fifo or interactive-first"
        )
    queues = []
    for server, number in zip(servers, slots, strict=True):
        queue = ServerQueue(server, number, concurrency, scheduling, options.limit)
        if options.reserve is not None:
            queue = queue._replace(reserve=options.reserve)
        if options.ageing_s is not None:
            queue = queue._replace(ageing_s=options.ageing_s)
        if concurrency.for_both_paths and (queue.most or 2) == 1:
            raise UserError(
                f'--concurrency: "{concurrency.name}" keeps a slot free for interactive calls, and {server} takes one '
                "call at a time; choose serial, or give the server more slots"
            )
        queues.append(queue)
    at: int | Pool = 0
    if len(queues) > 1:
        at = Pool(every.placement[options.placement], tuple(range(len(queues))))
    return Plan("gateway", tuple(queues), tuple((at,) for _ in PIPELINES))


def _known(flag: str, name: str, table: Collection[str]) -> None:
    if name not in table:
        raise UserError(f'{flag}: expected one of {", ".join(table)}, found "{name}"{did_you_mean(name, table)}')


async def _until_told(
    options: GatewayOptions, urls: list[str], up: Callable[[RunningGateway], None], progress: Progress
) -> bool:
    with listen(options.host, options.port) as listener:
        async with AsyncExitStack() as stack:
            return await _listening(listener, stack, options, urls, up, progress)


async def _listening(
    listener: socket.socket,
    stack: AsyncExitStack,
    options: GatewayOptions,
    urls: list[str],
    up: Callable[[RunningGateway], None],
    progress: Progress,
) -> bool:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    starting = asyncio.current_task()
    assert starting is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, starting.cancel)
    classes = Classes(options.default_class, options.interactive_models, _key(options), options.interactive_user_agents)
    own_id = uuid4().hex
    via: Headers = [(VIA_HEADER, own_id.encode())]
    bound = listener.getsockname()[0]
    access = Access.given(options.host, options.allow_hosts, options.allow_origins)._replace(bound=bound)
    check = quiet_server(_Loops(own_id), GRACE_S)
    serving = asyncio.create_task(serve_quietly(check, listener.dup()))
    try:
        await answering(check, serving)
        reached = [await reach(url, options, via, progress, stack) for url in urls]
    finally:
        check.should_exit = True
        await serving
    shown, upstreams = [each.shown for each in reached], [each.upstream for each in reached]
    slots = options.slots * len(urls) if len(options.slots) == 1 else options.slots
    if not slots and options.run is None:
        slots = tuple([await _found(each, progress) for each in reached])
    plan = _plan(options, shown, slots)
    engine = OpenEngine(PIPELINES, plan, origin="measured")
    metrics = Metrics(engine)

    def ended(record: CallRecord | JobRecord | DelayRecord) -> None:
        metrics.record(record)
        progress.record(record)

    gate = Gate(engine, ended, start_s=loop.time(), most_waiting=options.queue, on_change=progress.stands)
    health = Health(gate, upstreams, via, progress.say)
    settles = any(isinstance(site[0], Pool) and site[0].policy.settles for site in plan.placement)
    app = GatewayApp(gate, upstreams, health, classes, access, metrics, own_id, settles=settles)
    server = quiet_server(app, GRACE_S)
    running = asyncio.create_task(gate.run())
    serving = asyncio.create_task(serve_quietly(server, listener))
    try:
        await answering(server, serving)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told.set)
        up(RunningGateway(_url(listener), plan))
        progress.stands(engine)
        progress.serving()
        signalled = asyncio.create_task(told.wait())
        await asyncio.wait({signalled, running, serving}, return_when=asyncio.FIRST_COMPLETED)
        signalled.cancel()
        if running.done():
            running.result()
    finally:
        gate.end()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving
        running.cancel()
        health.close()
        for upstream in upstreams:
            upstream.close()
    return True


class _Loops:
    """What listens while the servers are looked at: it answers only to say that a request has come back."""

    def __init__(self, own_id: str) -> None:
        self._id = own_id.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 508 if self._id in dict(scope["headers"]).get(VIA_HEADER, b"") else 503
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def _found(server: Reached, progress: Progress) -> int:
    """Count the slots of a server; UserError where the model to do it with has to be chosen, or a key is needed."""
    name = server.shown
    if server.needs_key:
        raise UserError(f"{name}: slots are counted without a key; say how many there are with --slots N")
    try:
        model = await only_model(server.url)
    except UserError:
        raise UserError(f"{name} has no model, or several: say how many slots it has with --slots N") from None
    progress.say(f"{name}: counting slots with {model}")
    async with opened(name, OllamaServer(kind="ollama", model=model, url=server.url), progress) as endpoint:
        slots = (await find_slots(endpoint, rounds=1, say=progress.say)).number
    progress.say(f"{name}: {count(slots, 'slot')} found")
    return slots


def _key(options: GatewayOptions) -> str:
    """Read the key of interactive programs. What was given is not repeated: it may be the key itself."""
    given = options.interactive_key
    if given is None:
        return ""
    if given in os.environ:
        return variable("--interactive-key", given)
    try:
        key = Path(given).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        key = ""
    if not key or "\n" in key:
        raise UserError("--interactive-key: expected the name of an environment variable, or of a file with the key")
    return key


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
