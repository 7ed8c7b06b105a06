"""What to copy for a candidate: the servers' environment, and the matching limit in code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from harness.analysis.model import (
    CandidateSummary,
    PipelineSummary,
    PoolUse,
    ServerUse,
    Settings,
    SettingsKind,
    SettingsText,
)
from harness.analysis.settings_text import (
    Deployment,
    asyncio_text,
    compose_text,
    langchain_text,
    langgraph_text,
    places_of,
    systemd_texts,
)
from harness.core.records import Origin
from harness.units import count
from harness.workload.schema import KINDS

__all__ = ["SETTINGS_KINDS", "engine_remarks", "settings_for"]

SETTINGS_KINDS: tuple[SettingsKind, ...] = get_args(SettingsKind)


def settings_for(candidate: CandidateSummary) -> Settings:
    """Write down a candidate as commands, files and code; two servers get a port each."""
    places = places_of(candidate)
    by_policy: dict[str, list[ServerUse]] = {}
    for place in places:
        if place.use.key is not None:
            by_policy.setdefault(place.use.scheduling, []).append(place.use)
    remarks = [
        f"{' and '.join(use.server for use in uses)}: {uses[0].first}; a plain semaphore is first come, first served, "
        "so take the one with a priority queue: --settings asyncio, langchain or langgraph."
        for uses in by_policy.values()
    ]
    if any(len(use.models) > 1 for use in candidate.servers):
        remarks.append(
            "Leave keep_alive out of the requests and set OLLAMA_KEEP_ALIVE instead: a request with one of its own can "
            "keep a model that was to make room, and whoever waits for the room waits for ever (seen on 0.33)."
        )
    if any(use.threads for use in candidate.servers):
        remarks.append("LLAMA_ARG_THREADS reaches the engine of Ollama 0.30 and newer; older ones take num_thread.")
    if len(places) > 1:
        placed = "; ".join(_placed(summary, places) for summary in candidate.pipelines)
        remarks.append(f"Send {placed}.")
    remarks += [f"{pool.pipeline}: {pool.says}." for pool in candidate.pools]
    shell = tuple(_serve(place) for place in places)
    code = tuple(line for place in places for line in _limits(place))
    if _pool(candidate, places):
        code = ("# one queue for all of these servers, as code: --settings asyncio, langchain or langgraph",)
    return Settings(candidate.name, shell, code, tuple(remarks), _texts(places, shell, _pool(candidate, places)))


def _pool(candidate: CandidateSummary, places: Sequence[Deployment]) -> PoolUse | None:
    """Return how one of the servers is chosen, where every call may go to any of them; waves go to each by itself."""
    choices = {pool._replace(pipeline="") for pool in candidate.pools}
    alike = len({(place.use.concurrency, place.use.scheduling) for place in places}) == 1
    special = any(place.wave or place.reserved for place in places)
    whole = (
        all(pool.code for pool in choices) and len(candidate.pools) == len(candidate.pipelines) and len(choices) == 1
    )
    return choices.pop() if whole and alike and not special and len(places) > 1 else None


def _texts(places: Sequence[Deployment], shell: Sequence[str], pool: PoolUse | None) -> tuple[SettingsText, ...]:
    if not places:
        return ()
    together = ["# each in a terminal of its own"] if len(places) > 1 else []
    return (
        SettingsText("serve", "", "\n".join([*together, *shell]) + "\n"),
        *(SettingsText("systemd", path, text) for path, text in systemd_texts(places)),
        SettingsText("compose", "compose.yaml", compose_text(places)),
        SettingsText("asyncio", "", asyncio_text(places, pool)),
        SettingsText("langchain", "", langchain_text(places, pool)),
        SettingsText("langgraph", "", langgraph_text(places, pool)),
    )


def _serve(place: Deployment) -> str:
    host = {"OLLAMA_HOST": f"127.0.0.1:{place.port}"} if place.several else {}
    variables = " ".join(f"{key}={value}" for key, value in (host | place.environment).items())
    return f"{variables} ollama serve" + (f"  # {place.use.server}" if place.several else "")


def engine_remarks(candidates: Sequence[CandidateSummary], origin: Origin) -> tuple[str, ...]:
    """Say what stands between these settings and Ollama where another engine was measured."""
    embedded = {kind for kind, server in KINDS.items() if server.embedded}
    if not any(use.kind in embedded for candidate in candidates for use in candidate.servers):
        return ()
    found = "Predicted for" if origin == "predicted" else "Measured on"
    return (
        f"{found} the embedded llama.cpp engine. Ollama runs llama.cpp too, with its own batch size and overheads: "
        "repeat it there with --engine ollama --model NAME.",
    )


def _limits(place: Deployment) -> list[str]:
    use, n = place.use, place.use.limit
    if n is None:
        return [f"# {use.server}: no limit in code; the server's own queue decides"]
    if place.wave is not None:
        return [f"# {use.server}: gather {count(n, 'call')}, wait for all of them, then the next {n}"]
    lines = [f"{place.identifier} = asyncio.Semaphore({n})  # LangChain: config={{'max_concurrency': {n}}}"]
    if use.batch_limit is not None:
        lines.append(
            f"{place.identifier}_batch = asyncio.Semaphore({use.batch_limit})  # batch calls take this one first"
        )
    return lines


def _placed(summary: PipelineSummary, places: Sequence[Deployment]) -> str:
    """Say where a pipeline goes, or each of its nodes where they part."""
    if not summary.nodes:
        return f"{summary.pipeline} to {_ports(summary.servers, places)}"
    of_server: dict[str, list[str]] = {}
    for node, server in summary.nodes:
        of_server.setdefault(server, []).append(node)
    parts = (f"{', '.join(nodes)} to {_ports((server,), places)} ({server})" for server, nodes in of_server.items())
    return f"{summary.pipeline}'s {' and '.join(parts)}"


def _ports(servers: Sequence[str], places: Sequence[Deployment]) -> str:
    ports = {place.use.server: place.port for place in places}
    if any(name not in ports for name in servers):
        return " + ".join(servers)
    return " and ".join(f"port {ports[name]}" + (f" ({name})" if len(servers) > 1 else "") for name in servers)
