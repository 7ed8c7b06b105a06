"""Mistakes in a file, one plain sentence each, with `file:line:column`.

`Mistakes` collects them, so that a person corrects all of them in one go; `validate` turns what pydantic says into
them. `examine` goes on where there are some: what is wrong is taken out, and the rest can be looked at.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Tag, ValidationError

from harness.core.policies import STANDARD, Policies
from harness.errors import WorkloadError, did_you_mean
from harness.workload.holes import NOTHING, entries, follows, repaired
from harness.workload.renamed import RENAMED
from harness.workload.schema.servers import kind_hint
from harness.workload.source import Loc, Source

__all__ = ["MAX_LISTED", "Mistakes", "examine", "found", "one_of", "unknown", "validate"]

MAX_LISTED = 20

M = TypeVar("M", bound=BaseModel)


class Mistakes:
    """The mistakes found in one file so far, in the order of the file when raised.

    Where some were taken out of the file to look at the rest, `holes` are their places, and `lost` the names of nodes,
    agents, servers and the like that went with them: what is said of one of these only follows from an earlier mistake.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.holes: set[Loc] = set()
        self.lost: frozenset[str] = frozenset()
        self._all: dict[tuple[str, str], None] = {}

    def add(self, loc: Loc, message: str, *, key: bool = False) -> None:
        """Note a mistake at `loc`: at its value, or at its key."""
        if not any(loc[: len(hole)] == hole for hole in self.holes):
            self.add_at(self.source.where(loc, key=key), message)

    def add_at(self, where: str, message: str) -> None:
        """Note a mistake in another file (a role card, an input)."""
        if not any(f'"{name}"' in message or f"{{{name}}}" in message for name in self.lost):
            self._all[(where, "".join(c if c.isprintable() else " " for c in message))] = None

    def whole(self, at: Loc) -> bool:
        """Whether nothing was taken out at a place or below it."""
        return not any(hole[: len(at)] == at for hole in self.holes)

    def ordered(self, nodes: Loc) -> bool:
        """Whether it is known which node comes after which: no node of these was taken out, and no `after`."""
        below = [hole[len(nodes) :] for hole in self.holes if hole[: len(nodes)] == nodes]
        return not any(len(hole) < 2 or hole[1] == "after" for hole in below)

    def __bool__(self) -> bool:
        return bool(self._all)

    def raise_if_any(self) -> None:
        """Raise one WorkloadError that lists them, a line each, the first twenty of them."""
        if not self._all:
            return
        ordered = sorted(self._all, key=self._position)
        lines = [f"{where}: {message}" for where, message in ordered[1:MAX_LISTED]]
        if len(ordered) > MAX_LISTED:
            lines.append(f"... and {len(ordered) - MAX_LISTED} more")
        where, message = ordered[0]
        raise WorkloadError(where, "\n".join([message, *lines]))

    def _position(self, mistake: tuple[str, str]) -> tuple[bool, str, int, int]:
        match = re.search(r":(\d+):(\d+)$", mistake[0])
        file = mistake[0][: match.start()] if match else mistake[0]
        line, column = (int(match[1]), int(match[2])) if match else (0, 0)
        return file != self.source.name, file, line, column


def one_of(names: Iterable[str]) -> str:
    """Write alternatives as `"a", "b" or "c"`."""
    quoted = [f'"{name}"' for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    """Write `no server "x"; did you mean "y"?`, or what there is where nothing is close."""
    allowed = list(allowed)
    hint = did_you_mean(name, allowed)
    if not hint:
        shown = ", ".join(allowed[:8]) + (", ..." if len(allowed) > 8 else "")
        hint = f"; there is: {shown}" if allowed else "; there is none"
    return f'no {what} "{name}"{hint}'


def found(value: object) -> str:
    """Show a value as it may have been written: `"text"`, `3`, `a list`, `nothing`."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "an empty list" if not value else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value if len(value) <= 40 else value[:37] + "..."}"' if value else "empty text"
    return str(value)


def validate(model: type[M], source: Source, folder: Path | None = None, policies: Policies = STANDARD) -> M:
    """Return `source` as a `model`; WorkloadError lists every mistake in plain words.

    `folder` is where the files are that it names; without one it can name none. `policies` are those it may name.
    """
    made, mistakes = examine(model, source, folder, policies)
    mistakes.raise_if_any()
    assert made is not None
    return made


def examine(
    model: type[M], source: Source, folder: Path | None = None, policies: Policies = STANDARD
) -> tuple[M | None, Mistakes]:
    """Return `source` as a `model`, without what is wrong in it, and the mistakes; None where nothing is left to use.

    What only follows from a mistake before it is not noted.

    Raises:
        WorkloadError: the file is empty, or no mapping.
    """
    if source.data is None:
        raise WorkloadError(source.name, "the file is empty; `slotwise init` writes one to start from")
    if not isinstance(source.data, dict):
        where = source.where(())
        raise WorkloadError(where, f"expected a mapping (version: 1, name: ...), found {found(source.data)}")
    context = {"folder": folder, "policies": policies}
    mistakes, data = Mistakes(source), source.data
    while True:
        try:
            # As JSON, because strict Python input would not take a list for a tuple.
            made = model.model_validate_json(json.dumps(data), strict=True, context=context)
        except ValidationError as error:
            places: dict[Loc, Any] = {}
            for detail in error.errors(include_url=False):
                loc = _place(data, detail)
                if not follows(loc, mistakes.holes):
                    _explain(mistakes, model, detail)
                places[loc] = _stand_in(detail)
            data, holes = repaired(data, places, mistakes.holes)
            mistakes.holes |= holes
            if not data:
                return None, mistakes
        else:
            mistakes.lost = entries(source.data) - entries(data)
            return made, mistakes


def _stand_in(detail: Any) -> Any:
    """Return something that may be right at the place of a mistake; NOTHING: it is taken out."""
    kind, context = detail["type"], detail.get("ctx") or {}
    if kind in ("int_type", "float_type", "finite_number", "missing", "one_key_of", *_BOUNDS):
        return 1
    if kind in ("string_type", "string_too_short"):
        return "x"
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        return allowed[0] if allowed else 1  # the version
    return NOTHING


def _place(data: Any, detail: Any) -> Loc:
    """Return where the mistake is in the data: of a key that is missing, where it would be."""
    at = tuple((detail.get("ctx") or {}).get("at", ())) if detail["type"] == "mistake" else ()
    return _resolve(data, detail["loc"]) + at


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:.15g}",
}


def _explain(mistakes: Mistakes, model: type[BaseModel], detail: Any) -> None:
    """Note one of pydantic's errors as one sentence at the right place."""
    kind, context, value = detail["type"], detail.get("ctx") or {}, detail["input"]
    loc = _resolve(mistakes.source.data, detail["loc"])
    dotted = ".".join(str(step) for step in loc)
    prefix = f"{dotted}: " if dotted else ""

    if detail["loc"] and detail["loc"][-1] == "[key]":
        message = f'expected a name of letters, digits, "-" and "_" that starts with a letter, found {found(value)}'
        mistakes.add(loc, prefix + message, key=True)
    elif kind == "extra_forbidden":
        place = ".".join(str(step) for step in loc[:-1])
        keys = _keys(model, detail["loc"][:-1])
        renamed = RENAMED.get(str(loc[-1]))
        hint = f"; it is called `{renamed}` now (slotwise migrate rewrites a workload)" if renamed in keys else ""
        hint = hint or did_you_mean(str(loc[-1]), keys) or f"; expected {', '.join(keys)}"
        mistakes.add(loc, f'unknown key "{loc[-1]}"{f" in {place}" if place else ""}{hint}', key=True)
    elif kind == "missing":
        mistakes.add(loc[:-1], f"{dotted} is missing{_wanted(model, detail['loc'])}", key=True)
    elif kind == "mistake":
        at = tuple(context["at"])
        mistakes.add(loc + at, prefix + context["message"], key=bool(at) and isinstance(at[-1], str))
    elif kind in ("literal_error", "union_tag_invalid"):
        allowed = re.findall(r"'([^']*)'", context.get("expected") or context["expected_tags"])
        if kind == "union_tag_invalid":
            key = context["discriminator"].strip("'")
            loc, prefix, value = (*loc, key), f"{dotted}.{key}: ", context["tag"]
        if kind == "literal_error" and not allowed:  # a number, such as the version
            mistakes.add(loc, f"{prefix}expected {context['expected']}, found {found(value)}")
        else:
            suggest = kind_hint if loc[-1:] == ("kind",) else did_you_mean
            hint = suggest(value, allowed) if isinstance(value, str) else ""
            mistakes.add(loc, f"{prefix}expected {one_of(allowed)}, found {found(value)}{hint}")
    elif kind == "union_tag_not_found":
        key = context["discriminator"].strip("'")
        if isinstance(value, dict):
            mistakes.add(loc, f"{dotted}.{key} is missing{_wanted(model, (*loc, key))}", key=True)
        else:
            mistakes.add(loc, f"{prefix}expected a mapping, found {found(value)}")
    elif kind == "one_key_of":
        shown, keys = found(value), re.findall(r"`([\w-]+)`", context["keys"])
        hint = ""
        if isinstance(value, dict) and value:
            shown = ", ".join(f"`{key}`" for key in value)
            if not set(value) & set(keys):
                hint = next(filter(None, (did_you_mean(key, keys) for key in value)), "")
        instead = context.get("instead", "")
        mistakes.add(loc, f"{prefix}expected {instead}a mapping with one of {context['keys']}, found {shown}{hint}")
    else:
        expected = _expected(kind, context, detail["msg"])
        hint = '; text with braces needs quotes ("{item}")' if kind == "string_type" and isinstance(value, dict) else ""
        if kind == "tuple_type" and isinstance(value, str):
            hint = f"; write [{value}]"
        mistakes.add(loc, f"{prefix}expected {expected}, found {found(value)}{hint}")


def _expected(kind: str, context: dict[str, Any], message: str) -> str:
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    if kind in ("too_short", "string_too_short"):
        return "at least one" if kind == "too_short" else "some text"
    if kind in ("too_long", "string_too_long"):
        return f"at most {context['max_length']} of them"
    if kind == "string_pattern_mismatch":
        if "http" in context["pattern"]:
            return "an address that starts with http:// or https://"
        return 'a name of letters, digits, "-" and "_" that starts with a letter'
    return message.removeprefix("expected ").removeprefix("Input should be ")


def _resolve(data: Any, loc: Loc) -> Loc:
    """Drop the steps of pydantic's location that name a variant of a union and not a place in the file."""
    kept: list[str | int] = []
    for i, step in enumerate(loc):
        if step in data if isinstance(data, dict) else isinstance(data, list) and step in range(len(data)):
            data = data[step]
        elif i < len(loc) - 1 or step == "[key]" or _is_tag(step):
            continue
        kept.append(step)
    return tuple(kept)


def _is_tag(step: str | int) -> bool:
    return isinstance(step, str) and step.startswith("<")


# --- what the models allow at a place ----------------------------------------------------------------------


def _keys(model: type[BaseModel], loc: Loc) -> list[str]:
    """Return the keys that the model at `loc` allows."""
    place: Any = model
    for step in loc:
        place = _descend(place, step)
    models = [member for member in _members(place) if isinstance(member, type) and issubclass(member, BaseModel)]
    return [field.alias or name for member in models for name, field in member.model_fields.items()]


def _wanted(model: type[BaseModel], loc: Loc) -> str:
    """Return what a missing field may be, or what it is for."""
    place: Any = model
    for step in loc[:-1]:
        place = _descend(place, step)
    for member in _members(place):
        if isinstance(member, type) and issubclass(member, BaseModel):
            for name, field in member.model_fields.items():
                if (field.alias or name) == loc[-1]:
                    choices = [c for m in _members_of_field(place, str(loc[-1])) for c in typing.get_args(m)]
                    if choices and all(isinstance(choice, str) for choice in choices):
                        return f"; expected {one_of(choices)}"
                    if choices:
                        return f"; expected {choices[0]}"
                    about = (field.description or "").removesuffix(".")
                    return f" ({about[0].lower()}{about[1:]})" if about else ""
    return ""


def _members_of_field(place: Any, key: str) -> list[Any]:
    """Return the annotations of the field `key` in every variant at `place` that are a Literal."""
    annotations = [
        field.annotation
        for member in _members(place)
        if isinstance(member, type) and issubclass(member, BaseModel)
        for name, field in member.model_fields.items()
        if (field.alias or name) == key
    ]
    return [annotation for annotation in annotations if typing.get_origin(annotation) is typing.Literal]


def _members(annotation: Any) -> list[Any]:
    """Return the variants of a union, or the annotation alone; `Annotated` is taken off."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [member for arg in typing.get_args(annotation) for member in _members(arg)]
    return [annotation]


def _descend(annotation: Any, step: str | int) -> Any:
    """Return the annotation one step further down."""
    if _is_tag(step):
        return _tagged(annotation, str(step))
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            for name, field in member.model_fields.items():
                if (field.alias or name) == step:
                    return field.annotation
                # The step may name a variant by its discriminator.
                if typing.get_origin(field.annotation) is typing.Literal and typing.get_args(field.annotation) == (
                    step,
                ):
                    return member
        elif typing.get_origin(member) is not None and typing.get_args(member):
            return typing.get_args(member)[-1 if isinstance(step, str) else 0]
    return None


def _tagged(annotation: Any, tag: str) -> Any:
    """Return the variant of a union that carries `Tag(tag)`."""
    for arg in typing.get_args(annotation):
        if isinstance(arg, Tag):
            continue
        metadata = getattr(arg, "__metadata__", ())
        if any(isinstance(item, Tag) and item.tag == tag for item in metadata):
            return typing.get_args(arg)[0]
        if (inner := _tagged(arg, tag)) is not None:
            return inner
    return None
