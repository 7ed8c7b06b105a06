"""Look at what this machine has for running workloads, and say what to do about what is missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Finding", "able", "conclusion", "examine"]

# Where vLLM and llama-server listen unless they are told otherwise, and how long it is looked for one.
OPENAI_HERE = ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8080/v1")
QUICK_S = 0.5


class Finding(NamedTuple):
    """One line of the answer."""

    what: str
    state: str  # "ok", "missing", "warning"
    found: str
    advice: str  # "" where nothing needs doing
    data: dict[str, Any]  # the same in numbers, for --json


def conclusion(findings: Sequence[Finding]) -> str:
    """Say in one sentence whether workloads can be run here, and how."""
    there = {finding.what: finding for finding in reversed(findings) if finding.state == "ok"}
    if "server" in there:
        return _with_server(there["server"])
    if "engine" in there:
        model = "" if "model" in there else "; the first run fetches its model"
        return f"Ready: slotwise run FILE measures with the embedded engine{model}."
    if "ollama" in there:
        return "Ready with Ollama: slotwise run FILE --engine ollama --model NAME."
    return (
        "Not ready to measure: there is no engine, no Ollama and no server. pip install 'slotwise[local]' brings an "
        "engine; slotwise check and slotwise simulate work without."
    )


def _with_server(server: Finding) -> str:
    """Say how workloads are run on a server that answers."""
    from urllib.parse import urlsplit

    from harness.units import is_here

    url = str(server.data.get("url") or "URL")
    address = urlsplit(url).netloc
    address = f":{address.rpartition(':')[2]}" if address and is_here(url) else address
    at = f" at {address}" if address else ""
    model = " --model NAME" if len(server.data.get("models", ())) > 1 else ""
    return f"Your server{at}: slotwise run FILE --server {url}{model}"


def able(findings: Sequence[Finding]) -> bool:
    """Whether there is anything that can run a workload: the embedded engine, an Ollama, or a running server."""
    return any(finding.state == "ok" for finding in findings if finding.what in ("engine", "ollama", "server"))


def examine(servers: Sequence[str] = ()) -> list[Finding]:
    """Look at everything that running a workload may need: a finding for each, in the order in which it matters.

    Args:
        servers: URLs of running servers to ask beside the everyday ones; they may speak OpenAI's API.
    """
    import shutil

    from harness import units
    from harness.compiled import form, runs_compiled
    from harness.core.levers import RAM_CACHE_BYTES
    from harness.servers import machine, models

    findings = [_python(), _engine(), _model(), _ollama(), *(_named(url) for url in servers), *_servers()]
    n = machine.cores()
    findings.append(Finding("cores", "ok", units.count(n, "core"), "", {"cores": n}))
    findings.append(Finding("simulation", "ok", form(), "", {"compiled": runs_compiled()}))
    findings.append(_accelerators())
    found = machine.memory()
    text = f"{units.size(found.total_bytes)}, {units.size(found.available_bytes)} of them available"
    if not found.available_bytes:
        text = units.size(found.total_bytes)
    prompts = RAM_CACHE_BYTES
    text += f"; each engine that Ollama starts may fill {units.size(prompts)} of it with earlier prompts"
    text += " (LLAMA_ARG_CACHE_RAM=0 turns that off)"
    data: dict[str, Any] = {**found._asdict(), "prompt_cache_bytes": prompts}
    little = _ollama_is_there(findings) and 0 < found.available_bytes < prompts
    advice = "That is more than is available: start ollama serve with LLAMA_ARG_CACHE_RAM=0" if little else ""
    findings.append(Finding("memory", "warning" if little else "ok", text, advice, data))
    busy = machine.busy_cores()
    if busy is not None:
        data = {"busy_cores": round(busy, 2), "cores": n}
        text = f"{busy:.1f} of {n} cores busy"
        if busy > max(0.25, 0.15 * n):
            advice = "Measurements will be off: stop what keeps them busy (top shows it) or wait"
            findings.append(Finding("load", "warning", text, advice, data))
        else:
            findings.append(Finding("load", "ok", text, "", data))
    folder = models.cache_dir()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{units.size(free)} free for models in {models.cache_dir()}"
    low = free < 1e9
    advice = "Free some, or set SLOTWISE_CACHE to a folder on another disk" if low else ""
    findings.append(Finding("disk", "warning" if low else "ok", text, advice, {"free_bytes": free}))
    return findings


def _ollama_is_there(findings: Sequence[Finding]) -> bool:
    """Whether an Ollama could be started, or runs, that keeps earlier prompts."""
    if os.environ.get("LLAMA_ARG_CACHE_RAM") == "0":
        return False
    return any(finding.what == "ollama" and finding.state == "ok" for finding in findings)


def _python() -> Finding:
    import platform
    import sys

    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", "ok", text, "", {"version": platform.python_version(), "path": sys.executable})


def _engine() -> Finding:
    try:
        import xllamacpp
    except ImportError as error:
        advice = "Install it: pip install 'slotwise[local]'"
        return Finding("engine", "missing", f"no embedded engine ({error})", advice, {})
    version = str(xllamacpp.__version__)
    return Finding("engine", "ok", f"xllamacpp {version} (llama.cpp)", "", {"version": version})


def _model() -> Finding:
    from harness.servers import models

    name = "smollm2-135m"
    path = models.fetched(name)
    if path is None:
        return Finding("model", "missing", f"{name} is not fetched", f"Fetch it: slotwise models pull {name}", {})
    return Finding("model", "ok", f"{name} at {path}", "", {"name": name, "path": str(path)})


def _ollama() -> Finding:
    import re
    import shutil
    import subprocess

    binary = shutil.which("ollama")
    if binary is None:
        advice = "Only needed for kind: ollama; https://ollama.com/download"
        return Finding("ollama", "missing", "no `ollama` on the PATH", advice, {})
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - the user's own
        # without a running server it warns first, and says the client's version then
        match = re.search(r"version is v?(\S+)", said.stdout + said.stderr)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("ollama", "warning", f"{binary} does not run ({error})", "Install it again", {"path": binary})
    version = match[1] if match else "?"
    return Finding("ollama", "ok", f"{version} at {binary}", "", {"version": version, "path": binary})


def _servers() -> list[Finding]:
    """Ask the servers that could be running: the everyday Ollama, our own `slotwise serve`, vLLM and llama-server."""
    from harness.errors import UserError
    from harness.servers.ollama_api import normal_url

    try:
        everyday = normal_url("OLLAMA_HOST", os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434")
    except UserError as error:
        return [Finding("server", "warning", str(error), "Correct the variable OLLAMA_HOST", {})]
    everyday = everyday.replace("//0.0.0.0:", "//127.0.0.1:")
    own = "http://127.0.0.1:11435"
    found = [_server(url) for url in dict.fromkeys((everyday, own))]
    found += [_named(url) for url in OPENAI_HERE if _lists_models(url)]
    there = [finding for finding in found if finding.state == "ok"] or found[:1]
    return [*there, *(layers for finding in there if (layers := _layers(finding)) is not None)]


def _lists_models(url: str) -> bool:
    """Whether something at a URL answers at once as OpenAI's API does."""
    import httpx

    try:
        told = httpx.get(f"{url}/models", timeout=QUICK_S, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return False
    return isinstance(told, dict) and bool(told.get("data"))


def _accelerators() -> Finding:
    """Name the accelerators of this machine, with what is free there: for weights and the cache of all slots."""
    from harness import units
    from harness.servers import accelerator

    found = accelerator.find_accelerators()
    if not found:
        text = "none that nvidia-smi, rocm-smi or macOS tells of: engines run on the cores"
        return Finding("accelerator", "ok", text, "", {"accelerators": []})
    free = accelerator.free_bytes(found)
    text = accelerator.accelerators_text(found)
    if any(one.shared for one in found):
        text += f", about {units.size(free or 0)} of main memory at most" if free else ""
    elif free:
        text += f", {units.size(free)} of {units.size(sum(one.memory_bytes for one in found))} free"
    text += "; servers side by side share it, each with weights of its own"
    return Finding("accelerator", "ok", text, "", {"accelerators": [one._asdict() for one in found]})


def _layers(server: Finding) -> Finding | None:
    """Warn where a loaded model of a server is partly on the CPU beside an accelerator."""
    from harness import units

    spilled = {name: share for name, share in server.data.get("cpu_shares", {}).items() if share}
    if not spilled:
        return None
    each = ", ".join(f"{units.percent(share)} of {name}" for name, share in spilled.items())
    advice = "Set fewer slots (OLLAMA_NUM_PARALLEL) or a smaller context (OLLAMA_CONTEXT_LENGTH): this is slow"
    return Finding("layers", "warning", f"layers on the CPU: {each}", advice, {"cpu_shares": spilled})


def _named(url: str) -> Finding:
    """Ask a server that was named, whichever API it speaks."""
    from harness import units
    from harness.app.loops import finished
    from harness.errors import SlotwiseError
    from harness.servers.ollama_api import normal_url
    from harness.servers.openai_api import look, way_to
    from harness.servers.running import openai_at

    shown = units.safe_url(url)
    try:
        found = finished(openai_at(url))
        if found is None:
            return _server(normal_url("--server", url))
        way = way_to("server", found[0], None)
        facts = finished(look("server", way, found[1][0]))
    except SlotwiseError as error:
        return Finding("server", "warning", str(error), "Check the address that --server names", {"url": shown})
    data: dict[str, Any] = {"url": way.shown, "version": facts.version, "models": list(found[1])}
    data |= {"slots": facts.slots, "context_tokens": facts.context_tokens}
    text = f"{facts.version} at {way.shown}, {units.count(len(found[1]), 'model')}: {', '.join(found[1][:5])}"
    if facts.slots is not None:
        text += f"; {units.count(facts.slots, 'slot')}"
    return Finding("server", "ok", text, "", data)


def _server(url: str) -> Finding:
    import httpx

    from harness import units
    from harness.core.device import share_on_cpu
    from harness.units import safe_url

    shown = safe_url(url)
    data: dict[str, Any] = {"url": shown}
    try:
        with httpx.Client(base_url=url, timeout=3, trust_env=False) as client:
            answer = client.get("/api/version").json()
            have = [str(entry["name"]) for entry in client.get("/api/tags").json()["models"]]
            processes = client.get("/api/ps").json()["models"]
            loaded = [str(entry["name"]) for entry in processes]
            sizes = [
                {"size_bytes": entry.get("size"), "size_vram_bytes": entry.get("size_vram")} for entry in processes
            ]
            version = str(answer.get("engine") or f"Ollama {answer['version']}")
    except httpx.TransportError:
        advice = "Only needed for servers named by url; start one with: ollama serve, or slotwise serve"
        return Finding("server", "missing", f"nothing answers at {shown}", advice, data)
    except (ValueError, KeyError, TypeError, AttributeError):
        advice = "Something else listens there; name Ollama's address in OLLAMA_HOST"
        return Finding("server", "warning", f"{shown} does not answer as Ollama does", advice, data)
    data |= {"version": version, "models": have, "loaded": loaded}
    data |= {"cpu_shares": {name: round(share_on_cpu(told), 3) for name, told in zip(loaded, sizes, strict=True)}}
    text = f"{version} at {shown}, {units.count(len(have), 'model')}, loaded: {', '.join(loaded) or 'none'}"
    return Finding("server", "ok", text, "", data)
