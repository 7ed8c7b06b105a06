"""What to copy for a candidate: the servers' environment, and the matching limit in code."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.model import CandidateSummary, PipelineSummary, Settings, SettingsText
from harness.core.levers import LEVERS, risks_said
from harness.core.records import PREDICTED, Origin
from harness.deploy.code import limit_lines
from harness.deploy.deployment import DeployedServer, Deployment, deployment_of
from harness.deploy.kinds import SETTINGS
from harness.deploy.serve import serve_lines
from harness.workload.schema import KINDS

__all__ = ["engine_remarks", "settings_for"]


def settings_for(candidate: CandidateSummary) -> Settings:
    """Write down a candidate as commands, files and code; two servers get a port each."""
    deployment = deployment_of(candidate)
    return Settings(
        candidate=candidate.name,
        shell=serve_lines(deployment),
        code=limit_lines(deployment),
        remarks=_remarks(candidate, deployment),
        texts=_texts(deployment),
    )


def engine_remarks(candidates: Sequence[CandidateSummary], origin: Origin) -> tuple[str, ...]:
    """Say what stands between these settings and Ollama where another engine was measured."""
    embedded = {kind for kind, server in KINDS.items() if server.embedded}
    if not any(use.kind in embedded for candidate in candidates for use in candidate.servers):
        return ()
    found = "Predicted for" if origin in PREDICTED else "Measured on"
    return (
        f"{found} the embedded llama.cpp engine. Ollama runs llama.cpp too, with its own batch size and overheads: "
        "repeat it there with --engine ollama --model NAME.",
    )


def _texts(deployment: Deployment) -> tuple[SettingsText, ...]:
    if not deployment.servers:
        return ()
    return tuple(
        SettingsText(name, path, text)
        for name, kind in SETTINGS.items()
        for path, text in kind.write(deployment).items()
    )


def _remarks(candidate: CandidateSummary, deployment: Deployment) -> tuple[str, ...]:
    servers = deployment.servers
    remarks = [
        f"{use.server}: give each slot {use.need.enough} tokens of context, not the {use.context_tokens} used here: "
        f"{use.need.words}. Each slot then takes more memory; whether that fits was not checked."
        for use in candidate.servers
        if use.need is not None
    ]
    remarks += [
        f"{use.server} is no Ollama: settings with OLLAMA_ are not for it."
        + (f" Its slots are set by {use.slots_set_by}." if use.limits_calls else "")
        for use in candidate.servers
        if use.slots_set_by
    ]
    remarks += _ordering(servers)
    if agents := list(dict.fromkeys(asking.agent for use in candidate.servers for asking in use.agents)):
        remarks.append(
            f"Calls of {_listed(agents)} ask for a context, a keep-alive or thinking of their own. That goes with each "
            "request and not into the server's settings: the code has it (--settings asyncio, langchain or langgraph)."
        )
    if any(len(use.models) > 1 for use in candidate.servers):
        remarks.append(
            "Leave keep_alive out of the requests and set OLLAMA_KEEP_ALIVE instead: a request with its own keep_alive "
            "can hold a model in memory, and a call that needs the memory then waits for ever (seen on 0.33)."
        )
    if any(use.threads for use in candidate.servers):
        remarks.append("LLAMA_ARG_THREADS reaches the engine of Ollama 0.30 and newer; older ones take num_thread.")
    remarks += _levers(servers)
    for device, names in _sharing(candidate):
        remarks.append(
            f"{' and '.join(names)} share {device} and its memory: each has weights and a cache of its own there, and "
            "one slows the other. Threads and cores change little on an accelerator."
        )
    if len(servers) > 1:
        remarks.append(f"Send {'; '.join(_placed(summary, servers) for summary in candidate.pipelines)}.")
    if len({server.use.machine for server in servers}) > 1:
        remarks.append(
            "Servers on different machines: if they are GPUs of one host, start each with CUDA_VISIBLE_DEVICES; "
            "if they are hosts, start each there with OLLAMA_HOST=0.0.0.0:PORT, behind a firewall, and put the "
            "host's address in place of 127.0.0.1 in code."
        )
    return (*remarks, *(f"{pool.pipeline}: {pool.says}." for pool in candidate.pools))


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _levers(servers: Sequence[DeployedServer]) -> list[str]:
    """Say what each lever risks, and what it takes."""
    levers = dict.fromkeys(lever for server in servers for lever in server.use.levers)
    remarks = list(risks_said(levers))
    for name, value in levers:
        lever = LEVERS[name]
        if value in lever.variables:
            remarks.append(f"{' and '.join(lever.variables[value])} takes Ollama {lever.since} or newer.")
        else:
            remarks.append(
                f"{name} {value} was used, and these settings do not have it: Ollama has no variable for it."
            )
    return remarks


def _sharing(candidate: CandidateSummary) -> list[tuple[str, list[str]]]:
    """Return the accelerators on which several servers stand, with the servers."""
    by_device: dict[tuple[str, str], list[str]] = {}
    for use in candidate.servers:
        if use.accelerator:
            by_device.setdefault((use.machine, use.accelerator), []).append(use.server)
    return [(device, names) for (_, device), names in by_device.items() if len(names) > 1]


def _ordering(servers: Sequence[DeployedServer]) -> list[str]:
    """Say what it takes to let calls go in another order than they arrived in, once for each scheduling policy."""
    by_policy: dict[tuple[str, bool], list[DeployedServer]] = {}
    for server in servers:
        if server.use.key is not None and server.use.limit is not None:  # else nothing waits in code
            by_policy.setdefault((server.use.scheduling, server.ordered), []).append(server)
    remarks = []
    for (_, ordered), those in by_policy.items():
        names = " and ".join(server.use.server for server in those)
        how = (
            "a plain semaphore is first come, first served, so take the code with a priority queue: "
            "--settings asyncio, langchain or langgraph"
            if ordered
            else "the code takes its waves from a list in order, so sort the list that way"
        )
        remarks.append(f"{names}: {those[0].use.first}; {how}.")
    return remarks


def _placed(summary: PipelineSummary, servers: Sequence[DeployedServer]) -> str:
    """Say where a pipeline goes, or each of its nodes where they part."""
    if not summary.nodes:
        return f"{summary.pipeline} to {_ports(summary.servers, servers)}"
    by_server: dict[str, list[str]] = {}
    for node, server in summary.nodes:
        by_server.setdefault(server, []).append(node)
    parts = (f"{', '.join(nodes)} to {_ports((server,), servers)} ({server})" for server, nodes in by_server.items())
    return f"{summary.pipeline}'s {' and '.join(parts)}"


def _ports(names: Sequence[str], servers: Sequence[DeployedServer]) -> str:
    ports = {
        server.use.server: server.url if server.openai or server.host else f"port {server.port}" for server in servers
    }
    if any(name not in ports for name in names):
        return " + ".join(names)
    return " and ".join(ports[name] + (f" ({name})" if len(names) > 1 else "") for name in names)
