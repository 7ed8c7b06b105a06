"""What can stand at a place of a workload's text: keys and values from the schema, and names from the text itself.

A text that is being written is rarely readable as YAML, so the place is found by indentation alone, and by the braces
that are open in its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.content import available
from harness.workload.schema import json_schema

__all__ = ["Completable", "Completions", "completions"]

MOST = 40  # items of one answer
_KEY = re.compile(r"^(\s*(?:- +)*)([A-Za-z_][\w.-]*)\s*:(?:\s|$)")
_PARTIAL = re.compile(r"[\w.-]*$")


class Completable(NamedTuple):
    """Something that could stand there."""

    text: str
    kind: Literal["key", "value", "name"]
    about: str = ""


class Completions(NamedTuple):
    """All of them; `first` is the column, from 1, at which what they replace begins."""

    first: int
    items: tuple[Completable, ...]


class _Spot(NamedTuple):
    """Where the cursor is: the keys above it, and the key whose value is written, "" where a key is."""

    above: tuple[str, ...]
    key: str
    partial: str
    beside: frozenset[str]  # keys that are there already


def completions(text: str, line: int, column: int, folder: Path) -> Completions:
    """Return what can stand at a cursor.

    Args:
        text: the workload, as far as it is written.
        line, column: of the cursor, from 1.
        folder: of the workload: role cards and profiles in it can be named.
    """
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        return Completions(column, ())
    before = lines[line - 1][: column - 1]
    if "#" in before and re.search(r"(^|\s)#", before):
        return Completions(column, ())
    spot = _spot(lines, line - 1, before)
    found = _values(spot, text, folder) if spot.key else _keys(spot)
    partial = spot.partial.lower()
    ranked = sorted(
        (one for one in dict.fromkeys(found) if partial in one.text.lower()),
        key=lambda one: not one.text.lower().startswith(partial),
    )
    return Completions(column - len(spot.partial), tuple(ranked[:MOST]))


def _spot(lines: Sequence[str], row: int, before: str) -> _Spot:
    match = _PARTIAL.search(before)
    partial = match[0] if match else ""
    rest = before[: len(before) - len(partial)]
    opened, inner = _opened(rest)
    head = _KEY.match(f"{inner}\n" if not opened else rest)
    if opened:  # {a: b, c: |
        indent = len(before) - len(before.lstrip())
        above = [*_above(lines, row, indent), *([head[2]] if head else []), *filter(None, opened)]
        pairs = re.findall(r"([\w-]+)\s*:", inner)
        is_value = re.search(r"[\w-]+\s*:\s*(?:\[[^\]]*)?$", inner) is not None
        key = pairs[-1] if is_value and pairs else ""
        return _Spot(tuple(above), key, partial, frozenset(pairs) - {key})
    indent = len(rest) - len(rest.lstrip(" -"))
    above_keys = _above(lines, row, indent)
    if head:
        return _Spot(above_keys, head[2], partial, frozenset())
    return _Spot(above_keys, "", partial, frozenset(_beside(lines, row, indent)))


def _opened(rest: str) -> tuple[list[str], str]:
    """Return the keys whose braces are open at the end of a line's beginning, and what is in the innermost one.

    The first is "" as its key is the line's own.
    """
    keys: list[str] = []
    starts: list[int] = []
    for at, character in enumerate(rest):
        if character == "{":
            named = re.search(r"([\w-]+)\s*:\s*$", rest[:at])
            keys.append(named[1] if named and starts else "")
            starts.append(at + 1)
        elif character == "}" and starts:
            keys.pop()
            starts.pop()
    return keys, rest[starts[-1] :] if starts else rest


def _above(lines: Sequence[str], row: int, indent: int) -> tuple[str, ...]:
    """Return the keys that a line stands below, the outermost first."""
    found: list[str] = []
    for line in reversed(lines[:row]):
        match = _KEY.match(f"{line}\n")
        if match and len(match[1]) < indent:
            found.append(match[2])
            indent = len(match[1])
    return tuple(reversed(found))


def _beside(lines: Sequence[str], row: int, indent: int) -> Iterator[str]:
    """Yield the keys of the same mapping, above and below a line."""
    for part in (reversed(lines[:row]), lines[row + 1 :]):
        for line in part:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _KEY.match(f"{line}\n")
            here = len(match[1]) if match else len(line) - len(line.lstrip())
            if here < indent:
                break
            if match and here == indent:
                yield match[2]


# --- the schema -------------------------------------------------------------------------------------------------------


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def _forms(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every form that a value may have, references and alternatives written out."""
    if "$ref" in schema:
        yield from _forms(_schema()["$defs"][schema["$ref"].rpartition("/")[2]])
        return
    for word in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(word, ()):
            yield from _forms(one)
    if not any(word in schema for word in ("anyOf", "oneOf")):
        yield schema


def _at(above: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the forms of the mapping below these keys."""
    forms = list(_forms(_schema()))
    for key in above:
        below: list[Mapping[str, Any]] = []
        for form in forms:
            for one in _forms(form["items"]) if isinstance(form.get("items"), dict) else (form,):
                below += _below(one, key)
        forms = below
    return [one for form in forms for one in (_forms(form["items"]) if isinstance(form.get("items"), dict) else [form])]


def _below(form: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    if key in form.get("properties", {}):
        return list(_forms(form["properties"][key]))
    patterns = form.get("patternProperties", {}).items()
    return [one for pattern, schema in patterns if re.search(pattern, key) for one in _forms(schema)]


def _keys(spot: _Spot) -> Iterator[Completable]:
    for form in _at(spot.above):
        for name, schema in form.get("properties", {}).items():
            if name not in spot.beside:
                yield Completable(name, "key", _about(schema))


def _values(spot: _Spot, text: str, folder: Path) -> Iterator[Completable]:
    if named := _NAMED.get(spot.key):
        for name in named(text, spot.above, folder):
            yield Completable(name, "name")
    for form in _at((*spot.above, spot.key)):
        values = [*form.get("enum", ()), *([form["const"]] if "const" in form else [])]
        if form.get("type") == "boolean":
            values = [True, False]
        for value in values:
            if value is not None:
                yield Completable(str(value).lower() if isinstance(value, bool) else str(value), "value")


def _about(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description", ""))


# --- names in the text ------------------------------------------------------------------------------------------------


def _section(text: str, *path: str) -> list[str]:
    """Return the keys right below a place of the text, found by indentation."""
    lines = text.split("\n")
    first, indent = 0, -1
    for name in path:
        for row in range(first, len(lines)):
            match = _KEY.match(f"{lines[row]}\n")
            if match and match[2] == name and len(match[1]) > indent:
                first, indent = row + 1, len(match[1])
                break
        else:
            return []
    found: list[str] = []
    inner = None
    for line in lines[first:]:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        here = len(line) - len(line.lstrip())
        if here <= indent:
            break
        match = _KEY.match(f"{line}\n")
        inner = here if inner is None else inner
        if match and here == inner:
            found.append(match[2])
    return found


def _nodes(text: str, above: Sequence[str], folder: Path) -> list[str]:
    """Return the nodes of the graph that a place is in; where it is no graph, the pipelines."""
    return _section(text, *above[:3]) if "nodes" in above else _section(text, "pipelines")


_NAMED: dict[str, Callable[[str, Sequence[str], Path], list[str]]] = {
    "agent": lambda text, above, folder: [*_section(text, "agents"), *available("agents", ".md", folder)],
    "over": lambda text, above, folder: [*_section(text, "inputs"), *_nodes(text, above, folder)],
    "after": _nodes,
    "texts": lambda text, above, folder: [*_section(text, "inputs"), *_nodes(text, above, folder)],
    "pipeline": lambda text, above, folder: _section(text, "subpipelines"),
    "while": lambda text, above, folder: _section(text, "pipelines"),
    "server": lambda text, above, folder: _section(text, "servers"),
    "machine": lambda text, above, folder: _section(text, "machines"),
    "profile": lambda text, above, folder: list(available("profiles", ".yaml", folder)),
}
