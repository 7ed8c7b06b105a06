"""Change a mapping in a YAML text, and leave every other character as it is: comments, order, quotes, line ends.

A text is changed at the marks of its nodes. The caller compares what the new text says with what it was to say
(`harness.workload.edits`), so what cannot be done here shows, and nothing is written that nobody meant.
"""

from __future__ import annotations

from typing import NamedTuple

from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from harness.workload.source import Loc, compose_yaml

__all__ = ["Entry", "NotPossible", "entry_at", "with_entry_after", "with_key", "with_value", "without_entry"]


class NotPossible(Exception):
    """A change that this text's form does not allow."""


class Entry(NamedTuple):
    """A key of a mapping, its value, and the mapping."""

    key: Node
    value: Node
    mapping: MappingNode

    @property
    def place(self) -> int:
        """Its place among the entries of the mapping, from 0."""
        return next(at for at, (key, _) in enumerate(self.mapping.value) if key is self.key)


def entry_at(text: str, loc: Loc) -> Entry:
    """Return what is written at a place; NotPossible where that is no key of a mapping."""
    node = compose_yaml(text)
    found: Entry | None = None
    for step in loc:
        if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            continue
        if not isinstance(node, MappingNode):
            raise NotPossible
        key, value = next(((key, value) for key, value in node.value if key.value == step), (None, None))
        if key is None or value is None:
            raise NotPossible
        found, node = Entry(key, value, node), value
    if found is None:
        raise NotPossible
    return found


def with_value(text: str, entry: Entry, written: str) -> str:
    """Replace the value of a key."""
    begin, end = _span(text, entry.value)
    if begin == end:  # nothing is written after the colon
        raise NotPossible
    if "#" in text[begin:end] and not (isinstance(entry.value, ScalarNode) and entry.value.style in ("'", '"')):
        raise NotPossible  # a comment in between would be lost
    return text[:begin] + written + text[end:]


def with_key(text: str, mapping: Node, key: str, written: str) -> str:
    """Add a key at the end of a mapping."""
    if not isinstance(mapping, MappingNode) or not mapping.value:
        raise NotPossible
    last_key, last = mapping.value[-1]
    return with_entry_after(text, Entry(last_key, last, mapping), f"{key}: {written}")


def with_entry_after(text: str, entry: Entry, *lines: str) -> str:
    """Add an entry after another one of its mapping.

    Args:
        text: the whole.
        entry: what it comes after.
        lines: what it says, each indented below the first as it is to be in a block. In braces it has one line.
    """
    _, end = _span(text, entry.value)
    if entry.mapping.flow_style:
        if len(lines) != 1:
            raise NotPossible
        return f"{text[:end]}, {lines[0]}{text[end:]}"
    begin = entry.mapping.value[0][0].start_mark.index
    indent = " " * entry.mapping.value[0][0].start_mark.column
    line_end = _line_end(text, end)
    if begin > line_end:
        raise NotPossible
    new_line = "\r\n" if "\r\n" in text else "\n"
    return text[:line_end] + "".join(f"{new_line}{indent}{line}" for line in lines) + text[line_end:]


def without_entry(text: str, entry: Entry, *, keep_comments: bool) -> str:
    """Remove a key with its value.

    Args:
        text: the whole.
        entry: what goes.
        keep_comments: a comment after it stays, as a line of its own. Else it belongs to what goes.
    """
    if len(entry.mapping.value) < 2:
        raise NotPossible
    begin, (_, end) = entry.key.start_mark.index, _span(text, entry.value)
    if entry.mapping.flow_style:
        return _without_in_braces(text, entry, begin, end)
    first, last = text.rfind("\n", 0, begin) + 1, _line_end(text, end)
    before, after = text[first:begin], text[end:last]
    if before.strip():
        raise NotPossible
    if keep_comments and "#" in text[begin:end]:
        raise NotPossible
    if keep_comments and after.strip():
        return text[:first] + before + after.lstrip() + text[last:]
    if last < len(text):
        return text[:first] + text[_next_line(text, last) :]
    return text[:first].rstrip("\r\n") + text[last:]


def _without_in_braces(text: str, entry: Entry, begin: int, end: int) -> str:
    place, pairs = entry.place, entry.mapping.value
    if place + 1 < len(pairs):  # as far as the next key, unless a comment stands there
        next_begin = pairs[place + 1][0].start_mark.index
        if "#" not in text[end:next_begin] and "\n" not in text[end:next_begin]:
            return text[:begin] + text[next_begin:]
    else:
        _, before_end = _span(text, pairs[place - 1][1])
        if "#" not in text[before_end:begin]:
            return text[:before_end] + text[end:]
    comma = end
    while comma < len(text) and text[comma] in " \t\r\n":
        comma += 1
    if text[comma : comma + 1] == ",":
        end = comma + 1
    first, line_end = text.rfind("\n", 0, begin) + 1, _line_end(text, end)
    if not text[first:begin].strip() and not text[end:line_end].strip() and line_end < len(text):
        return text[:first] + text[_next_line(text, line_end) :]  # nothing else is on its lines
    return text[:begin] + text[end:]


def _span(text: str, node: Node) -> tuple[int, int]:
    """Return where a value begins and ends; a block ends with its last value, not with the comments below."""
    begin, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return begin, _span(text, last[1] if isinstance(last, tuple) else last)[1]
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return begin, begin + len(text[begin:end].rstrip())
    return begin, end


def _line_end(text: str, at: int) -> int:
    """Return the index of the line break that ends the line, or the end of the text."""
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1 : end] == "\r" and end > at else end


def _next_line(text: str, line_end: int) -> int:
    return text.find("\n", line_end) + 1
