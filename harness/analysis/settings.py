"""What to copy for a candidate: the servers' environment, and the matching limit in code."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.model import CandidateSummary, ServerUse, Settings
from harness.core.records import Origin
from harness.units import count

__all__ = ["engine_remarks", "settings_for"]

_FIRST_PORT = 11434  # Ollama's own
_WHICH_SERVER = {
    "least-loaded": "each call goes to the server with most free slots; what finds none waits in one queue for all",
    "affinity": (
        "the first call of a conversation goes to the server with most free slots, all others of it to the same one"
    ),
}
_WHO_IS_FIRST = {
    "interactive-first": "interactive calls overtake waiting batch calls",
    "oldest-job-first": "calls of the job that began first go first",
    "least-served-first": "calls of the job that has been served least go first",
    "shortest-first": "calls that are to write least go first",
    "critical-path-first": "calls with the longest way to the end of their job go first",
}


def settings_for(candidate: CandidateSummary) -> Settings:
    """Write down a candidate as commands and code; two servers get a port each."""
    several = len(candidate.servers) > 1
    shell, code, remarks = [], [], []
    for number, use in enumerate(candidate.servers):
        host = f"OLLAMA_HOST=127.0.0.1:{_FIRST_PORT + number} " if several else ""
        context = f"OLLAMA_CONTEXT_LENGTH={use.context_tokens} " if use.context_tokens else ""
        room = f"OLLAMA_MAX_LOADED_MODELS={use.most_loaded} " if use.most_loaded else ""
        threads = f"LLAMA_ARG_THREADS={use.threads} " if use.threads else ""
        label = f"  # {use.server}" if several else ""
        shell.append(f"{host}OLLAMA_NUM_PARALLEL={use.slots} {context}{room}{threads}ollama serve{label}")
        code.append(_limit(use))
        if use.batch_in_flight is not None:
            code.append(
                f"{_name(use)}_batch = asyncio.Semaphore({use.batch_in_flight})  # batch calls take this one first"
            )
        if use.order in _WHO_IS_FIRST:
            remarks.append(
                f"{use.server}: {_WHO_IS_FIRST[use.order]}; a plain semaphore is first come, first served, so put a "
                "priority queue before it."
            )
    if any(len(use.models) > 1 for use in candidate.servers):
        remarks.append(
            "Leave keep_alive out of the requests and set OLLAMA_KEEP_ALIVE instead: a request with one of its own can "
            "keep a model that was to make room, and whoever waits for the room waits for ever (seen on 0.33)."
        )
    if any(use.threads for use in candidate.servers):
        remarks.append("LLAMA_ARG_THREADS reaches the engine of Ollama 0.30 and newer; older ones take num_thread.")
    if several:
        placed = "; ".join(
            f"{summary.pipeline} to {_port_of(summary.server, candidate)}" for summary in candidate.pipelines
        )
        remarks.append(f"Send {placed}.")
    remarks += [f"{pipeline}: {_WHICH_SERVER[choice]}." for pipeline, choice in candidate.pools]
    return Settings(candidate.name, tuple(shell), tuple(code), tuple(remarks))


def engine_remarks(candidates: Sequence[CandidateSummary], origin: Origin) -> tuple[str, ...]:
    """Say what stands between these settings and Ollama where another engine was measured."""
    if not any(use.kind == "llamacpp" for candidate in candidates for use in candidate.servers):
        return ()
    found = "Predicted for" if origin == "predicted" else "Measured on"
    return (
        f"{found} the embedded llama.cpp engine. Ollama runs llama.cpp too, with its own batch size and overheads: "
        "repeat it there with --engine ollama --model NAME.",
    )


def _limit(use: ServerUse) -> str:
    if use.in_flight is None:
        return f"# {use.server}: no limit in code; the server's own queue decides"
    if use.cap == "waves" and use.in_flight > 1:
        n = use.in_flight
        return f"# {use.server}: gather {count(n, 'call')}, wait for all of them, then the next {n}"
    return (
        f"{_name(use)} = asyncio.Semaphore({use.in_flight})  # LangChain: config={{'max_concurrency': {use.in_flight}}}"
    )


def _name(use: ServerUse) -> str:
    return use.server.replace("-", "_").lower()


def _port_of(server: str, candidate: CandidateSummary) -> str:
    ports = {use.server: _FIRST_PORT + number for number, use in enumerate(candidate.servers)}
    names = server.split(" + ")  # a pipeline whose nodes are on several
    if any(name not in ports for name in names):
        return server
    return " and ".join(f"port {ports[name]}" + (f" ({name})" if len(names) > 1 else "") for name in names)
