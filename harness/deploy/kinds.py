"""The kinds of settings. To add one: write its texts in a module of its own, and put it into the dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from harness.deploy.code import code_texts
from harness.deploy.compose import compose_texts
from harness.deploy.deployment import Deployment
from harness.deploy.gateway import gateway_texts
from harness.deploy.launchd import launchd_texts
from harness.deploy.serve import serve_texts
from harness.deploy.systemd import systemd_texts

__all__ = ["SETTINGS", "SettingsKind", "kinds_listed"]


class SettingsKind(NamedTuple):
    """A kind of settings."""

    # A deployment with one server or more -> its texts, by the path where each goes ("": that is the reader's to say).
    write: Callable[[Deployment], Mapping[str, str]]
    title: str = ""  # above its texts in report.md, which prints them whole; "": it does not


def _for_ollama(write: Callable[[Deployment], Mapping[str, str]]) -> Callable[[Deployment], Mapping[str, str]]:
    """Leave the servers that are no Ollama out of settings that only an Ollama reads, and say how those start."""

    def texts(deployment: Deployment) -> Mapping[str, str]:
        ours = tuple(server for server in deployment.servers if server.other_kind is None)
        others = tuple(server for server in deployment.servers if server.other_kind is not None)
        said = serve_texts(deployment._replace(servers=others)) if others else {}
        return {**(write(deployment._replace(servers=ours)) if ours else {}), **said}

    return texts


SETTINGS = {
    "serve": SettingsKind(serve_texts),  # these lines are in every report already
    "systemd": SettingsKind(_for_ollama(systemd_texts), "As a systemd override"),
    "launchd": SettingsKind(_for_ollama(launchd_texts), "As a launch agent of macOS"),
    "compose": SettingsKind(_for_ollama(compose_texts), "With Docker"),
    "asyncio": SettingsKind(partial(code_texts, "asyncio"), "The limit in asyncio"),
    "langchain": SettingsKind(partial(code_texts, "langchain"), "The limit in LangChain"),
    "langgraph": SettingsKind(partial(code_texts, "langgraph"), "The limit in LangGraph"),
    "gateway": SettingsKind(gateway_texts, "As a gateway, for programs whose code is not yours"),
}


def kinds_listed() -> str:
    """Return the names as a sentence lists them: `serve, systemd or compose`."""
    *most, last = SETTINGS
    return f"{', '.join(most)} or {last}"
