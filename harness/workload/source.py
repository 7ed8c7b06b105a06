"""Read YAML safely and remember where everything was written.

YAML 1.2's plain types only (`true`, `12`, `1e3`, `null`; `yes` and `on` are text), no tags, no merge keys,
every key once. Limits on size, depth and number of values, counted after aliases are expanded: no file can
exhaust memory.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from harness.errors import WorkloadError

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_VALUES",
    "Loc",
    "Source",
    "compose_yaml",
    "parse_yaml",
    "read_text",
    "reads_as_text",
]

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 24
MAX_VALUES = 20_000
MAX_KEY = 200

Loc = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Source(NamedTuple):
    """Plain data and where each key and each value of it was written (line, column; from 1)."""

    name: str
    data: Any
    keys: dict[Loc, tuple[int, int]]
    values: dict[Loc, tuple[int, int]]

    def where(self, loc: Loc, *, key: bool = False) -> str:
        """Return `file:line:column` of the value at `loc` (`key`: of its key), or of the nearest above it."""
        for end in range(len(loc), -1, -1):
            place = loc[:end]
            mark = self.keys.get(place) if key else None
            mark = mark or self.values.get(place)
            if mark:
                return f"{self.name}:{mark[0]}:{mark[1]}"
        return self.name


def read_text(path: Path, limit_bytes: int = MAX_BYTES) -> str:
    """Return a file's text; WorkloadError where it is missing, a folder, too large or not UTF-8."""
    name = str(path)
    if path.is_dir():
        raise WorkloadError(name, "expected a file, found a folder")
    if path.exists() and not path.is_file():
        raise WorkloadError(name, "expected a file, found a pipe or a device")
    try:
        with path.open("rb") as file:
            raw = file.read(limit_bytes + 1)
    except FileNotFoundError:
        raise WorkloadError(name, "no such file") from None
    except OSError as error:
        raise WorkloadError(name, f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError:  # a NUL in the path
        raise WorkloadError(ascii(name), "cannot be a path") from None
    if len(raw) > limit_bytes:
        raise WorkloadError(name, f"expected at most {limit_bytes} bytes, found more")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise WorkloadError(
            f"{name}:{line}:{column}", f"expected UTF-8 text, found the byte 0x{raw[error.start]:02x}"
        ) from None


class _Resolver(BaseResolver):
    """Plain scalars are null, true, false, numbers or text."""


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]{1,18}$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.?[0-9]*)(?:[eE][-+]?[0-9]{1,4})?$", list("-+.0123456789")),
):
    _Resolver.add_implicit_resolver(_TAG + _tag, re.compile(_pattern), _first)


def reads_as_text(text: str) -> bool:
    """Whether `parse_yaml` takes this, without quotes, for text: not for a number, true, false or null."""
    tag: str = _Resolver().resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # the stubs' gap
    return tag == _TAG + "str"


class _Loader(Reader, Scanner, Parser, Composer, _Resolver):
    """Composes nodes, no deeper and no more of them than the limits allow."""

    def __init__(self, text: str, name: str, first_line: int) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Resolver.__init__(self)
        self.file, self.first_line, self.depth, self.count = name, first_line, 0, 0

    def at(self, mark: yaml.Mark) -> str:
        return f"{self.file}:{mark.line + self.first_line}:{mark.column + 1}"

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave it out
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH:
            raise WorkloadError(self.at(mark), f"expected at most {MAX_DEPTH} levels of nesting, found more")
        if self.count > MAX_VALUES:
            raise WorkloadError(self.at(mark), f"expected at most {MAX_VALUES} values in a file, found more")
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Builder:
    """Turns nodes into plain data; counts what aliases expand to."""

    def __init__(self, loader: _Loader) -> None:
        self.loader = loader
        self.count = 0
        self.keys: dict[Loc, tuple[int, int]] = {}
        self.values: dict[Loc, tuple[int, int]] = {}

    def mark(self, node: Node) -> tuple[int, int]:
        return node.start_mark.line + self.loader.first_line, node.start_mark.column + 1

    def build(self, node: Node, loc: Loc) -> Any:
        where = self.loader.at(node.start_mark)
        self.count += 1
        if self.count > MAX_VALUES:
            raise WorkloadError(where, f"aliases expand this file to more than {MAX_VALUES} values; write it out")
        if len(loc) > MAX_DEPTH:
            raise WorkloadError(where, "an alias contains itself, or nests too deeply; write it out")
        self.values.setdefault(loc, self.mark(node))
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, loc)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(child, (*loc, i)) for i, child in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self.scalar(node, where)
        raise WorkloadError(where, f"tags are not allowed here, found {_shown_tag(node.tag)}")

    def mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            where = self.loader.at(key_node.start_mark)
            if not isinstance(key_node, ScalarNode):
                raise WorkloadError(where, "expected text as a key, found a list or a mapping; braces need quotes here")
            key = self.text(key_node, where)
            if key == "<<" and key_node.style is None:
                raise WorkloadError(where, "merge keys (<<) are not supported; write the keys out")
            if len(key) > MAX_KEY:
                raise WorkloadError(where, f"expected a key of at most {MAX_KEY} characters, found {len(key)}")
            if key in result:
                first = self.keys[(*loc, key)][0]
                raise WorkloadError(where, f'the key "{key}" is there twice, first on line {first}; remove one')
            self.keys[(*loc, key)] = self.mark(key_node)
            result[key] = self.build(value_node, (*loc, key))
        return result

    def text(self, node: ScalarNode, where: str) -> str:
        text: str = node.value
        if bad := _CONTROL.search(text):
            raise WorkloadError(where, f"expected printable text, found the character U+{ord(bad[0]):04X}")
        return text

    def scalar(self, node: ScalarNode, where: str) -> Any:
        text = self.text(node, where)
        try:
            match node.tag.removeprefix(_TAG):
                case "str":
                    return text
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text)
                case "float":
                    value = float(text)
                    return value if math.isfinite(value) else text
        except ValueError:
            raise WorkloadError(where, f"expected a number after the tag, found {text!r}") from None
        raise WorkloadError(where, f"tags are not allowed here, found {_shown_tag(node.tag)}")


def _shown_tag(tag: str) -> str:
    return tag.replace(_TAG, "!!")[:40]


def compose_yaml(text: str) -> Node | None:
    """Return the nodes of a text that `parse_yaml` can read, each with where it begins and ends."""
    return _Loader(text, "", 1).get_single_node()


def parse_yaml(text: str, name: str, first_line: int = 1) -> Source:
    """Parse one YAML document; `name` and `first_line` say where it came from. WorkloadError says where."""
    try:
        loader = _Loader(text, name, first_line)
        node = loader.get_single_node()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + first_line
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise WorkloadError(
            f"{name}:{line}:{column}", f"expected printable text, found the character U+{code:04X}"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + first_line}:{mark.column + 1}" if mark else name
        parts = [part for part in (error.context, error.problem) if part]
        hint = "; indent with spaces" if "'\\t'" in (error.problem or "") else ""
        raise WorkloadError(where, f"not readable as YAML: {', '.join(parts)}{hint}") from None
    except (ValueError, OverflowError):  # PyYAML's own int() and chr() on escapes such as \UFFFFFFFF
        raise WorkloadError(name, "not readable as YAML: an escape that is no character") from None
    if node is None:
        return Source(name, None, {}, {})
    builder = _Builder(loader)
    return Source(name, builder.build(node, ()), builder.keys, builder.values)
