"""Prompt templates: text with `{item}`, `{input_name}` and `{node_name}`, and nothing else.

Not `str.format`: a workload may come from anywhere, and a format string can reach attributes. `{{` and `}}`
are braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["Prompt", "Slot", "Template", "TemplateError", "estimate_tokens", "parse", "render"]

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z][A-Za-z0-9_-]*)\}|[{}]")


class Slot(NamedTuple):
    """A place to fill in."""

    name: str
    offset: int  # in the template's text


Template = tuple[str | Slot, ...]


class Prompt(NamedTuple):
    """What an agent node says: its template and, where it has one, its system message."""

    template: Template
    system: Template | None


class TemplateError(ValueError):
    """A template that cannot be read; `offset` is where in its text."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def parse(text: str) -> Template:
    """Split a template into text and slots once, at load time; TemplateError where a brace makes no sense."""
    parts: list[str | Slot] = []
    literal = ""
    end = 0
    for match in _TOKEN.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        if match[1]:
            if literal:
                parts.append(literal)
            parts.append(Slot(match[1], match.start()))
            literal = ""
        elif match[0] in ("{{", "}}"):
            literal += match[0][0]
        else:
            shown = re.match(r"[^}\n]{0,30}\}?", text[match.start() :])
            raise TemplateError(
                match.start(),
                f'expected a name in braces, such as {{item}}, found "{shown[0] if shown else match[0]}"; '
                f"for a brace itself write {match[0] * 2}",
            )
    literal += text[end:]
    if literal:
        parts.append(literal)
    return tuple(parts)


def render(
    template: Template,
    item: str | None,
    inputs: Mapping[str, Sequence[str]],
    outputs: Mapping[str, Sequence[str]],
) -> str:
    """Fill a template in: this call's item, all items of an input, the outputs of a node (numbered).

    What is filled in is never looked at again, so braces in a document or in an answer stay what they are. A
    name that is in neither mapping raises KeyError: loading has checked them.
    """
    return "".join(part if isinstance(part, str) else _fill(part.name, item, inputs, outputs) for part in template)


def _fill(
    name: str, item: str | None, inputs: Mapping[str, Sequence[str]], outputs: Mapping[str, Sequence[str]]
) -> str:
    if name == "item":
        return item or ""
    if name in outputs:
        texts = outputs[name]
        if len(texts) == 1:
            return texts[0].strip()
        return "\n".join(f"{i}. {text.strip()}" for i, text in enumerate(texts, start=1))
    return "\n\n".join(inputs[name])


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text has: four characters of English a token. An estimate, not a count."""
    return -(-len(text) // 4)
