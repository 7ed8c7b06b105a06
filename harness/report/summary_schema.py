"""The JSON Schema of summary.json, read off the types of the analysis; kept in summary.schema.json beside this file.

    python -m harness.report.summary_schema > harness/report/summary.schema.json

writes it again after the analysis has changed; a test compares the two.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from harness.analysis.model import Analysis, Choice, PathVerdict
from harness.deploy.kinds import SETTINGS
from harness.report.summary import SUMMARY_VERSION
from harness.wording.answer import Answer
from harness.wording.said import NoticeText

__all__ = ["summary_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: dict[object, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    float: {"type": ["number", "null"]},  # what is not finite is written as null
    Any: {},
}

# What is written beside the facts, or in their place, because it is said of them.
_WORDS: dict[object, dict[str, Any]] = {
    Analysis: {"notices": tuple[NoticeText, ...], "method": tuple[str, ...], "answer": Answer},
    PathVerdict: {"headline": str, "sentences": tuple[str, ...]},
    Choice: {"sentences": tuple[str, ...]},
}
_NAMES: dict[object, str] = {NoticeText: "Notice"}


def summary_schema() -> dict[str, Any]:
    """Return the schema. Fields may be added without a new version, so unknown ones are allowed."""
    definitions: dict[str, Any] = {}
    _schema(Analysis, definitions)
    top = definitions.pop("Analysis")
    del top["properties"]["version"]
    top["required"].remove("version")
    head = definitions["RunHead"]["properties"]
    for name in ("machine", "options", "work"):  # written as objects
        head[name] = {"type": "object"}
    head["work"]["additionalProperties"] = {"type": "string"}
    definitions["SettingsText"]["properties"]["kind"] = {"enum": list(SETTINGS)}
    return {
        "$schema": _DIALECT,
        "title": "Slotwise summary.json",
        "description": "docs/reference/reports.md explains the fields. Seconds, tokens, bytes; null is not known.",
        "type": "object",
        "properties": {"summary_version": {"const": SUMMARY_VERSION}, **top["properties"]},
        "required": ["summary_version", *top["required"]],
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type; named tuples become objects in `definitions`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        return dict(_PLAIN[annotation])
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (Union, types.UnionType):
        return _either([_schema(part, definitions) for part in parts])
    if (origin is tuple and len(parts) == 2 and parts[1] is Ellipsis) or origin in (list, Sequence):
        return {"type": "array", "items": _schema(parts[0], definitions)}
    if origin is tuple:
        items = [_schema(part, definitions) for part in parts]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema(parts[1], definitions)}
    if isinstance(annotation, type) and hasattr(annotation, "_fields"):
        name = _NAMES.get(annotation, annotation.__name__)
        if name not in definitions:
            definitions[name] = {}  # a type may hold itself
            hints = {field: hint for field, hint in get_type_hints(annotation).items() if field in annotation._fields}
            fields = {field: _schema(hint, definitions) for field, hint in (hints | _WORDS.get(annotation, {})).items()}
            definitions[name] = {"type": "object", "properties": fields, "required": list(fields)}
        return {"$ref": f"#/$defs/{name}"}
    raise TypeError(f"summary.json has no form for {annotation!r}")


def _either(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Join choices; plain types into one list."""
    if all(set(choice) == {"type"} for choice in choices):
        names = [name for choice in choices for name in _as_list(choice["type"])]
        return {"type": list(dict.fromkeys(names))}
    return {"anyOf": choices}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    print(json.dumps(summary_schema(), indent=1))
