"""Prompt templates: text with `{item}`, `{input_name}` and `{node_name}`, and nothing else.

Not `str.format`: a workload may come from anywhere, and a format string can reach attributes. `{{` and `}}`
are braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

__all__ = [
    "Prompt",
    "Slot",
    "Template",
    "TemplateError",
    "Wording",
    "estimate_tokens",
    "parse",
    "prompt_tokens",
    "render",
]

NUMBERING_TOKENS = 3  # "7", "." and the end of the line, where several answers are filled in
LONG_WORD = 6  # letters; a tokenizer knows most words up to that many as one token

_PIECE = re.compile(r"([^\W\d_]+)|\d|_|[^\w\s]|\n+")
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

    @property
    def names(self) -> frozenset[str]:
        """What it names."""
        return frozenset(part.name for part in (*self.template, *(self.system or ())) if isinstance(part, Slot))


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


class Wording(NamedTuple):
    """What of a text decides how many tokens it has: tokenizers split at words, digits and punctuation first."""

    pieces: int  # words, digits, punctuation marks, (groups of) line breaks
    long_letters: int  # beyond `LONG_WORD` in words

    @classmethod
    def of(cls, text: str) -> Wording:
        """Look at a text."""
        words = [match[1] for match in _PIECE.finditer(text)]
        return cls(len(words), sum(len(word) - LONG_WORD for word in words if word and len(word) > LONG_WORD))


def prompt_tokens(
    prompt: Prompt,
    count: Callable[[str], float],
    item: float,
    inputs: Mapping[str, float],
    answers: Mapping[str, float],
) -> float:
    """Add up the tokens of one call's prompt and system message, the chat template apart.

    Args:
        prompt: the node's.
        count: tokens of the templates' own text.
        item: tokens of the call's item.
        inputs: tokens of all items of an input, by its name.
        answers: tokens of what a node's answers are filled in as, by its name; a name in neither has none.
    """
    total = 0.0
    for part in (*prompt.template, *(prompt.system or ())):
        if isinstance(part, str):
            total += count(part)
        elif part.name == "item":
            total += item
        else:
            total += inputs.get(part.name, 0.0) + answers.get(part.name, 0.0)
    return total


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text has: four characters of English a token. An estimate, not a count."""
    return -(-len(text) // 4)
