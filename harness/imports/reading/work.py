"""What a piece of code does, as plain data: calls of models, tools, pauses; in sequence, at once, one of several.

A piece of work is a dict with `do`:

- `call`: one call of a model; `clients` are the settings of those that it may go to, `sure` tells whether it was seen;
- `embed`: one request of an embedding, with `clients`;
- `tool`: something else that takes time, with `name` and maybe `delay_s`; `person`: somebody is waited for;
- `graph`: another graph, `graph`;
- `seq`, `par`, `alt`: `parts` one after the other, all at once, one of them;
- `fan`: `body` once for each of `count` items (None: unknown), at once or, with `in_turn`, one after the other;
- `loop`: `body` an unknown number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

__all__ = ["CALLS", "NOTHING", "TOOLS", "Work", "alt", "count_in", "fan", "par", "parts_of", "seq", "some"]

Work = dict[str, Any]
CALLS, TOOLS = ("call", "embed"), ("tool", "person")
NOTHING: Work = {"do": "seq", "parts": []}


def seq(parts: Iterable[Work]) -> Work:
    """Return parts one after the other."""
    return _joined("seq", parts)


def par(parts: Iterable[Work]) -> Work:
    """Return parts at once."""
    return _joined("par", parts)


def _joined(do: str, parts: Iterable[Work]) -> Work:
    flat: list[Work] = []
    for part in parts:
        flat += part["parts"] if part["do"] == do else [part] if some(part) else []
    return flat[0] if len(flat) == 1 else {"do": do, "parts": flat} if flat else NOTHING


def alt(parts: Iterable[Work]) -> Work:
    """Return one of several; equal ones are one."""
    ways: list[Work] = []
    for part in parts:
        ways += [way for way in (part["parts"] if part["do"] == "alt" else [part]) if way not in ways]
    return ways[0] if len(ways) == 1 else {"do": "alt", "parts": ways} if ways else NOTHING


def fan(body: Work, count: int | None, *, in_turn: bool = False) -> Work:
    """Return work for each of several items."""
    if not some(body) or count == 0:
        return NOTHING
    if count == 1:
        return body
    return {"do": "fan", "body": body, "count": count, "in_turn": in_turn}


def some(work: Work) -> bool:
    """Tell whether there is anything in it."""
    return work["do"] not in ("seq", "par", "alt") or any(some(part) for part in work["parts"])


def parts_of(work: Work) -> Iterator[Work]:
    """Yield a piece of work and all within it, but not what is in other graphs."""
    yield work
    for part in _within(work):
        yield from parts_of(part)


def count_in(work: Work, kinds: Collection[str], width: Callable[[Work], int], graph: Callable[[Work], float]) -> float:
    """Count the places that do one of `kinds`, each as often as it has items.

    Args:
        work: what is counted in.
        kinds: what counts, such as `call`.
        width: the items of a fan.
        graph: counts in another graph.
    """
    if work["do"] in kinds:
        return 1
    if work["do"] == "graph":
        return graph(work)
    inside = sum(count_in(part, kinds, width, graph) for part in _within(work))
    return inside * width(work) if inside and work["do"] == "fan" else inside


def _within(work: Work) -> list[Work]:
    return [*work.get("parts", ()), *([work["body"]] if "body" in work else [])]
