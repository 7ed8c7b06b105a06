"""What an object of the user's program is: a model, a graph, a tool, a chain; known by the names of its classes.

No property is computed and nothing is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

__all__ = [
    "attribute",
    "class_names",
    "function_of",
    "is_chat_class",
    "is_graph",
    "kind_of",
    "stored",
    "told_by",
    "tool_class",
]

_MODELS = {"BaseChatModel", "BaseLLM", "BaseLanguageModel", "ChatOllama", "_ConfigurableModel"}
_SETTINGS = (
    *("model", "model_name", "model_id", "num_ctx", "num_predict", "keep_alive", "temperature", "reasoning"),
    *("max_tokens", "max_completion_tokens", "max_output_tokens"),
)


def class_names(value: Any) -> set[str]:
    """Return the names of an object's class and of its bases."""
    return {one.__name__ for one in type(value).__mro__}


def is_graph(found: Any) -> bool:
    """Tell whether it is a compiled graph."""
    return (
        not isinstance(found, type)
        and callable(getattr(type(found), "get_graph", None))
        and hasattr(found, "builder")
        and hasattr(found.builder, "nodes")
    )


def kind_of(value: Any) -> str:
    """Return model, graph, pregel, tools, tool, retriever, embeddings, binding, sequence, parallel, function, other."""
    names = class_names(value)
    if names & _MODELS:
        return "model"
    if is_graph(value):
        return "graph"
    if isinstance(value, FunctionType | MethodType):
        return "function"
    for name, kind in (
        ("PregelProtocol", "pregel"),
        ("ToolNode", "tools"),
        ("BaseTool", "tool"),
        ("BaseRetriever", "retriever"),
        ("Embeddings", "embeddings"),
        ("RunnableRetry", "retry"),
        ("RunnableEachBase", "each"),
        ("RunnableBindingBase", "binding"),
        ("RunnableWithFallbacks", "fallbacks"),
        ("RunnableSequence", "sequence"),
        ("RunnableSeq", "sequence"),
        ("RunnableParallel", "parallel"),
        ("RunnableAssign", "assign"),
        ("RunnableBranch", "branch"),
        ("RunnableCallable", "callable"),
        ("RunnableLambda", "callable"),
        ("_TaskFunction", "task"),
        ("partial", "partial"),
        ("BasePromptTemplate", "plain"),
        ("BaseOutputParser", "plain"),
        ("RunnablePassthrough", "plain"),
    ):
        if name in names:
            return kind
    return "other"


def is_chat_class(value: Any) -> bool:
    """Tell whether a class makes chat models."""
    return isinstance(value, type) and bool({one.__name__ for one in value.__mro__} & _MODELS)


def tool_class(value: Any) -> str:
    """Return the name of a class that makes tools or retrievers; empty where it does not."""
    if not isinstance(value, type) or not {one.__name__ for one in value.__mro__} & {"BaseTool", "BaseRetriever"}:
        return ""
    return value.__name__


def stored(value: Any, name: str) -> Any:
    """Return a field as it is stored."""
    own = getattr(value, "__dict__", None)
    found = own.get(name) if isinstance(own, Mapping) else None
    if found is None and hasattr(type(value), "__slots__"):
        slot = vars(type(value)).get(name)
        if type(slot).__name__ == "member_descriptor":
            found = getattr(value, name, None)
    return found


def attribute(value: Any, name: str) -> tuple[bool, Any]:
    """Return whether an attribute is there without computing one, and what it is."""
    if isinstance(value, ModuleType):
        return name in vars(value), vars(value).get(name)
    own = getattr(value, "__dict__", {})
    if isinstance(own, Mapping) and name in own and not isinstance(value, type):
        return True, own[name]
    for one in value.__mro__ if isinstance(value, type) else type(value).__mro__:
        if name in vars(one):
            found = vars(one)[name]
            if isinstance(found, staticmethod):
                return True, found.__func__
            if isinstance(found, classmethod):
                return True, MethodType(found.__func__, value if isinstance(value, type) else type(value))
            if isinstance(found, FunctionType):
                return True, found if isinstance(value, type) else MethodType(found, value)
            if isinstance(found, property) or hasattr(type(found), "__get__"):
                return (True, stored(value, name)) if stored(value, name) is not None else (False, None)
            return True, found
    slot = stored(value, name)
    return slot is not None, slot


def told_by(client: Any, bound: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a client as plain data; `bound` are arguments that go with each of its calls."""
    own = {**getattr(client, "__dict__", {}), **bound}
    options = own.get("options")
    if isinstance(options, Mapping):
        own = {**own, **options}
    told: dict[str, Any] = {"class": type(client).__name__}
    if "ChatOllama" in class_names(client):
        told["class"] = "ChatOllama"
    for key in _SETTINGS:
        value = own.get(key)
        if value is not None:
            told[key] = value if isinstance(value, str | int | float | bool) else {"shown": repr(value)[:200]}
    return told


def function_of(value: Any) -> Any:
    """Return the Python function behind what a graph calls, with what it is bound to; None where there is none."""
    kind = kind_of(value)
    if kind in ("callable", "task"):
        for name in ("func", "afunc"):
            inner = stored(value, name)
            if inner is not None and not (kind_of(inner) == "partial" and inner.func.__name__ == "run_in_executor"):
                return function_of(inner) or inner
        return None
    if kind in ("function", "partial"):
        return value
    if callable(value) and not isinstance(value, type):
        there, call = attribute(type(value), "__call__")
        return MethodType(call, value) if there and isinstance(call, FunctionType) else None
    return None
