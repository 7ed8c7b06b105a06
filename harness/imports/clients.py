"""The ChatOllama that a node of a graph uses, as keys of an agent. What it says was read before (`reading`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.imports.draft import DraftNote, ask, note
from harness.workload.schema.keep_alive import keep_seconds

__all__ = ["ClientRead", "client_of"]

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
        """The model that it asks an Ollama for; empty where it is of another kind."""
        return str(self.keys.get("model", ""))


def client_of(name: str, clients: Sequence[Mapping[str, Any]]) -> ClientRead | None:
    """Return what the client of a node says; None where there is none.

    Args:
        name: of the node, for notes.
        clients: the settings of those that it may use, the first of which is taken.
    """
    found: list[ClientRead] = []
    for told in clients:
        read = _read(name, told)
        if read is not None and read not in found:
            found.append(read)
    if len(found) < 2:
        return found[0] if found else None
    first, *others = found
    models = ", ".join(dict.fromkeys(one.model or "another" for one in others))
    asked = ask(f"{name} can reach {len(found)} clients; which one does it call? Here {first.model}, not {models}.")
    return first._replace(notes=(*first.notes, asked))


def _read(name: str, told: Mapping[str, Any]) -> ClientRead | None:
    """Return a client's settings as keys of an agent; None where it says nothing."""
    model = told.get("model") or told.get("model_name") or told.get("model_id")
    if not isinstance(model, str) or not model.strip() or not model.isprintable() or len(model) > MAX_NAME:
        model = ""
    if told.get("class") != "ChatOllama":
        return _of_another_kind(name, model, told) if model else None
    keys: dict[str, Any] = {"model": model} if model else {}
    notes: list[DraftNote] = []
    if not model and set(told) <= {"class", "model"}:
        return None
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


def _of_another_kind(name: str, model: str, told: Mapping[str, Any]) -> ClientRead:
    """Return what a client of another kind says: its lengths, and whose place a local model is to take."""
    keys: dict[str, Any] = {}
    temperature: Any = told.get("temperature")
    if _number(temperature, float) and 0 <= temperature <= 2:
        keys["temperature"] = float(temperature)
    for key in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        most: Any = told.get(key)
        if _number(most) and 0 < most <= MAX_OUTPUT:
            keys["output_tokens"] = most
            break
    asked = ask(f"which model of your server stands for {model}?", "the server's own")
    return ClientRead(keys, (asked,))


def _left_out(what: str, expected: str, found: object) -> DraftNote:
    shown = found["shown"] if isinstance(found, Mapping) and "shown" in found else repr(found)
    return note(f"{what} is left out: expected {expected}, found {shown[:MAX_NAME]}.")


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
