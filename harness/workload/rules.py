"""Rules on what a model really answered: which label is taken, whether a loop ends, how long a list is.

Answers are text that anybody may have written, so no rule looks at more of one than `MAX_CHARS`: a pattern from the
workload takes a time that grows with the text, for some patterns quickly.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from harness.core.events import BranchDecision
from harness.workload.schema import FirstWord, JsonIs, Otherwise, Regex, Rule

__all__ = ["MAX_CHARS", "MAX_ITEM_CHARS", "Decisions", "holds", "json_list", "rule_words", "shown", "what_it_says"]

MAX_CHARS = 8_000  # that a pattern is tried on: half from the beginning, half from the end of an answer
MAX_JSON_CHARS = 1_000_000
MAX_ITEM_CHARS = 100_000
MAX_STARTS = 64  # places in an answer where a JSON value is looked for
SHOWN_CHARS = 200

_NOTHING = object()
_PUNCTUATION = string.punctuation + string.whitespace + "\u2018\u2019\u201c\u201d\u2026\u2013\u2014"


class Decisions(NamedTuple):
    """What a node's answer decides where the model is in control."""

    branch: Mapping[str, Rule]  # label -> rule, in order
    until: Rule | None  # of the loop that it ends
    most_items: int | None  # of the list that others fan out over


def what_it_says(node: str, decides: Decisions, text: str) -> BranchDecision:
    """Apply a node's rules to its answer."""
    branch = items = None
    error = ""
    if decides.branch:
        branch = next((i for i, rule in enumerate(decides.branch.values()) if holds(rule, text)), None)
        if branch is None:
            rules = "; ".join(f"{label}: {rule_words(rule)}" for label, rule in decides.branch.items())
            error = f"no label of its branch fits; expected {rules}"
    if decides.most_items is not None:
        listed = json_list(text)
        items = None if listed is None else len(listed)
        if listed is None:
            error = "expected a JSON list to fan out over"
        elif len(listed) > decides.most_items:
            error = f"expected a list of at most {decides.most_items} items, found {len(listed)}"
            items = None
    stop = None if decides.until is None else holds(decides.until, text)
    return BranchDecision(branch, stop, items, f'node "{node}": {error}; found: {shown(text)}' if error else None)


def holds(rule: Rule, text: str) -> bool:
    """Return whether a rule is true of an answer."""
    match rule:
        case Regex(regex=pattern):
            return _pattern(pattern).search(_both_ends(text)) is not None
        case FirstWord(first_word=word):
            return _first_word(text) == word.strip(_PUNCTUATION).casefold()
        case JsonIs(json_=path, is_=expected):
            found = _at(path, json_value(text))
            return found is not _NOTHING if expected is None else _same(found, expected)
        case Otherwise():
            return True


def json_value(text: str) -> Any:
    """Return the JSON value in an answer: the answer as a whole, or the first object or list in it."""
    text = text[:MAX_JSON_CHARS]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _first_value(text, "[{")


def json_list(text: str) -> tuple[str, ...] | None:
    """Return the elements of the JSON list in an answer as texts; None where there is none.

    A list in an object counts where it is the object's only one.
    """
    value = json_value(text)
    if isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list)]
        value = lists[0] if len(lists) == 1 else _NOTHING
    if not isinstance(value, list):
        value = _first_value(text[:MAX_JSON_CHARS], "[")
    if not isinstance(value, list):
        return None
    return tuple((part if isinstance(part, str) else json.dumps(part))[:MAX_ITEM_CHARS] for part in value)


def shown(text: str) -> str:
    """Return the beginning of an answer as it can stand in a message: on one line, printable."""
    if not text.strip():
        return "an empty answer"
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * SHOWN_CHARS])
    line = " ".join(line.split())
    return f'"{line[:SHOWN_CHARS]}{"..." if len(line) > SHOWN_CHARS or len(text) > 4 * SHOWN_CHARS else ""}"'


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _both_ends(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS // 2] + text[-MAX_CHARS // 2 :]


def _first_word(text: str) -> str:
    words = text[:MAX_CHARS].strip(_PUNCTUATION).split(None, 1)
    return words[0].strip(_PUNCTUATION).casefold() if words else ""


def _first_value(text: str, starts: str) -> Any:
    decoder = json.JSONDecoder()
    for i, match in enumerate(re.finditer(f"[{re.escape(starts)}]", text)):
        if i == MAX_STARTS:
            break
        try:
            return decoder.raw_decode(text, match.start())[0]
        except (ValueError, RecursionError):
            continue
    return _NOTHING


def _at(path: str, value: Any) -> Any:
    """Follow a dotted path; a number is a place in a list, or a key."""
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and len(step) < 10 and int(step) < len(value):
            value = value[int(step)]
        else:
            return _NOTHING
    return value


def _same(value: Any, expected: str | bool | float) -> bool:
    """Compare as what was expected: text with any scalar, a number with a number, a truth value with one."""
    if isinstance(expected, bool) or isinstance(value, bool):
        return value is expected or (isinstance(expected, str) and str(value).lower() == expected.lower())
    if isinstance(expected, str):
        return isinstance(value, (str, int, float)) and str(value) == expected
    return isinstance(value, (int, float)) and value == expected


def rule_words(rule: Rule) -> str:
    """Say a rule in a few words."""
    match rule:
        case Regex(regex=pattern):
            return f"matches {pattern}"
        case FirstWord(first_word=word):
            return f"begins with {word}"
        case JsonIs(json_=path, is_=None):
            return f"has {path}"
        case JsonIs(json_=path, is_=value):
            number = f"{value:g}" if isinstance(value, float) else value
            return f"{path} is {str(value).lower() if isinstance(value, bool) else number}"
    return "otherwise"
