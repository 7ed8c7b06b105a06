"""The settings that code gives to the clients that it makes or binds."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from harness.imports.reading.objects import kind_of, told_by
from harness.imports.reading.values import KnownValue, MapValue, ModelValue, Value

__all__ = ["bound_to", "path_of", "settings_told"]


def bound_to(receiver: Value, name: str, named: dict[str, Value]) -> Value:
    """Return a runnable with arguments that go with each of its calls."""
    more = {key: one.value for key, one in named.items() if isinstance(one, KnownValue)}
    if isinstance(receiver, KnownValue) and kind_of(receiver.value) == "model":
        receiver = ModelValue(told_by(receiver.value, {}))
    if isinstance(receiver, ModelValue) and name == "bind":
        return receiver._replace(told={**receiver.told, **_plain(more)})
    if isinstance(receiver, ModelValue) and name == "with_retry":
        times = more.get("stop_after_attempt", 3)
        if "stop_after_attempt" in named and not isinstance(more.get("stop_after_attempt"), int):
            return receiver._replace(told={**receiver.told, "retry_open": True}, retries=2)
        return receiver._replace(retries=times - 1 if isinstance(times, int) else 2)
    return receiver


def settings_told(name: str, named: Mapping[str, Value]) -> dict[str, Any]:
    told = {key: one.value for key, one in named.items() if isinstance(one, KnownValue)}
    options = named.get("options")
    if isinstance(options, MapValue):
        told |= {str(key): one.value for key, one in options.parts.items() if isinstance(one, KnownValue)}
    elif isinstance(told.get("options"), Mapping):
        told |= told["options"]
    model = told.get("model")
    if name == "init_chat_model" and isinstance(model, str) and ":" in model and told.get("model_provider") is None:
        provider, _, told["model"] = model.partition(":")
        name = "ChatOllama" if provider == "ollama" else name
    if name in ("chat", "generate") or (name == "init_chat_model" and told.get("model_provider") == "ollama"):
        name = "ChatOllama"
    return {"class": name, **_plain(told)}


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in told.items() if isinstance(one, str | int | float | bool)}


def path_of(node: ast.expr) -> str:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return ".".join([node.id if isinstance(node, ast.Name) else "", *names])
