"""The ChatOllama that a node of a graph uses, as keys of an agent.

It is looked for where the code of a node can reach it: in its closure and its defaults, in the globals that it
mentions, in the object that it is a method of, and in functions of its module that it calls. Nothing is called, and
langchain-ollama is never imported here: a client is known by the name of its class.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

from harness.imports.draft import DraftNote, ask, note
from harness.workload.schema.keep_alive import keep_seconds

__all__ = ["ClientRead", "client_of"]

MAX_DEPTH, MAX_VALUES = 8, 2000  # of what is looked at, for one node
MAX_ITEMS = 50  # of a list or a dict
THINKING_TOKENS = 200  # assumed, and asked about
MIN_CONTEXT, MAX_CONTEXT, MAX_OUTPUT = 256, 10_000_000, 1_000_000  # tokens of an agent
MAX_NAME = 200  # letters of a model's name, and of a value that is shown
LEVELS = ("low", "medium", "high")


class ClientRead(NamedTuple):
    """What a client says of the calls of a node: keys of its agent, and what is to be said of them."""

    keys: dict[str, Any]
    notes: tuple[DraftNote, ...] = ()

    @property
    def model(self) -> str:
        """The model that it asks for."""
        return str(self.keys["model"])


def client_of(name: str, node: Any) -> ClientRead | None:
    """Return what the client of a node says; None where there is none.

    Args:
        name: of the node, for notes.
        node: its runnable.
    """
    found: list[ClientRead] = []
    for client, bound in _Search().clients(node):
        read = _read(name, client, bound)
        if read is not None and read not in found:
            found.append(read)
    if len(found) < 2:
        return found[0] if found else None
    first, *others = found
    models = ", ".join(dict.fromkeys(one.model for one in others))
    asked = ask(f"{name} can reach {len(found)} clients; which one does it call? Here {first.model}, not {models}.")
    return first._replace(notes=(*first.notes, asked))


class _Search:
    """One walk over what a node can reach."""

    def __init__(self) -> None:
        self._seen: dict[object, Any] = {}  # by identity; kept, so that no other object gets it

    def clients(self, value: Any, bound: dict[str, Any] | None = None, depth: int = 0) -> Iterator[tuple[Any, Any]]:
        """Yield each client with the arguments that are bound to it."""
        bound = bound or {}
        names = {one.__name__ for one in type(value).__mro__}
        if "ChatOllama" in names:
            yield value, bound
            return
        key = (id(value.__func__), id(value.__self__)) if isinstance(value, MethodType) else id(value)
        if key in self._seen or depth > MAX_DEPTH or len(self._seen) >= MAX_VALUES:
            return
        self._seen[key] = value
        if "RunnableBindingBase" in names:
            yield from self.clients(_field(value, "bound"), {**bound, **(_field(value, "kwargs") or {})}, depth + 1)
            return
        for part in _parts(value, names):
            yield from self.clients(part, bound, depth + 1)


def _parts(value: Any, names: set[str]) -> list[Any]:
    """Return what a value can reach; `names` are those of its class and its bases."""
    if isinstance(value, FunctionType):
        return _reached(value)
    if isinstance(value, MethodType):
        return _of_method(value.__func__, value.__self__)
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, list | tuple | dict):
        return list(value.values() if isinstance(value, dict) else value)[:MAX_ITEMS]
    if "Runnable" in names:
        fields = ("func", "afunc", "first", "middle", "last", "steps__", "runnable")
        return [part for name in fields if (part := _field(value, name)) is not None]
    return _of_method(vars(type(value)).get("__call__"), value)


def _of_method(function: Any, owner: Any) -> list[Any]:
    """Return what a method can reach: as any function, and what it mentions of its object."""
    if not isinstance(function, FunctionType):
        return []
    mentioned = dict.fromkeys(_mentioned(function.__code__))
    methods = (vars(type(owner)).get(name) for name in mentioned)
    mine = [_field(owner, name) for name in mentioned]
    return [function, *mine, *(MethodType(one, owner) for one in methods if isinstance(one, FunctionType))]


def _field(value: Any, name: str) -> Any:
    """Return a field as it is stored: no property is computed."""
    return getattr(value, "__dict__", {}).get(name)


def _reached(function: FunctionType) -> list[Any]:
    """Return what a function can reach: of other functions among its globals, those of its own module alone."""
    found: list[Any] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            continue  # not filled yet
    for name in dict.fromkeys(_mentioned(function.__code__)):
        value = function.__globals__.get(name)
        if not isinstance(value, FunctionType) or value.__module__ == function.__module__:
            found.append(value)
    return found


def _mentioned(code: CodeType) -> Iterator[str]:
    """Yield the names that code uses, functions within it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _mentioned(constant)


def _read(name: str, client: Any, bound: dict[str, Any]) -> ClientRead | None:
    """Return a client's settings as keys of an agent; None where it names no model."""
    told = {**getattr(client, "__dict__", {}), **bound}
    model = told.get("model")
    if not isinstance(model, str) or not model.strip() or not model.isprintable() or len(model) > MAX_NAME:
        return None
    keys: dict[str, Any] = {"model": model}
    notes: list[DraftNote] = []
    context: Any = told.get("num_ctx")
    if _number(context) and MIN_CONTEXT <= context <= MAX_CONTEXT:
        keys["num_ctx"] = context
    elif context is not None:
        notes.append(_left_out(f"num_ctx of {name}", f"{MIN_CONTEXT} tokens or more", context))
    keep: Any = told.get("keep_alive")
    if _is_time(keep):
        keys["keep_alive"] = keep
    elif keep is not None:
        notes.append(_left_out(f"keep_alive of {name}", "seconds or a time such as 5m", keep))
    temperature: Any = told.get("temperature")
    if _number(temperature, float) and 0 <= temperature <= 2:
        keys["temperature"] = float(temperature)
    most: Any = told.get("num_predict")
    most = most if _number(most) and 0 < most <= MAX_OUTPUT else None
    if most is not None:
        keys["output_tokens"] = most
    think = told.get("reasoning")
    if think is True or think in LEVELS:
        thinking = THINKING_TOKENS if most is None else min(THINKING_TOKENS, max(1, most // 2))
        keys |= {"think": think, "thinking_tokens": thinking}
        if most is not None:  # `num_predict` covers both
            keys["output_tokens"] = max(1, most - thinking)
        notes.append(ask(f"how many tokens does {name} think before it answers? {thinking} is a guess."))
    elif think not in (None, False):
        notes.append(_left_out(f"reasoning of {name}", "True, False, low, medium or high", think))
    return ClientRead(keys, tuple(notes))


def _left_out(what: str, expected: str, found: object) -> DraftNote:
    return note(f"{what} is left out: expected {expected}, found {repr(found)[:MAX_NAME]}.")


def _number(value: Any, *kinds: type) -> bool:
    return isinstance(value, (int, *kinds)) and not isinstance(value, bool)


def _is_time(value: Any) -> bool:
    if not _number(value) and not isinstance(value, str):
        return False
    try:
        keep_seconds(value)
    except ValueError:
        return False
    return abs(value) <= 1_000_000_000 if isinstance(value, int) else 0 < len(value) <= 40
