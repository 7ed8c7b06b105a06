"""Reading YAML: what is read, where it was, and what is refused."""

# ruff: noqa: E501  whole messages stand on one line each

from __future__ import annotations

import pytest

from harness.errors import WorkloadError
from harness.workload.source import MAX_DEPTH, MAX_VALUES, parse_yaml


def test_plain_types_are_those_of_yaml_1_2() -> None:
    text = "a: yes\nb: 1e3\nc: 010\nd: 2026-01-01\ne: ~\nf: '1'\ng: true\nh: 1:30\ni: .5\nj:\non: no\n"
    assert parse_yaml(text, "f").data == {
        "a": "yes",
        "b": 1000.0,
        "c": 10,
        "d": "2026-01-01",
        "e": None,
        "f": "1",
        "g": True,
        "h": "1:30",
        "i": 0.5,
        "j": None,
        "on": "no",
    }


def test_marks() -> None:
    source = parse_yaml("a:\n  b: [1, 2]\n", "f", first_line=5)
    assert source.where(("a", "b", 1)) == "f:6:10"
    assert source.where(("a", "b"), key=True) == "f:6:3"
    assert source.where(("a", "missing", "deeper")) == "f:6:3"  # nearest above: the mapping of a


def test_an_alias_is_expanded() -> None:
    assert parse_yaml("a: &x [1]\nb: *x\n", "f").data == {"a": [1], "b": [1]}


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


REFUSED = {
    "duplicate key": ("a: 1\nb: 2\na: 3\n", 'f:3:1: the key "a" is there twice, first on line 1; remove one'),
    "duplicate key in braces": ("{a: 1, a: 2}", 'f:1:8: the key "a" is there twice, first on line 1; remove one'),
    "bomb": (bomb(9), f"f:1:5: aliases expand this file to more than {MAX_VALUES} values; write it out"),
    "alias of itself": ("a: &a [*a]", "f:1:4: an alias contains itself, or nests too deeply; write it out"),
    "depth": ("[" * 500, f"f:1:{MAX_DEPTH + 1}: expected at most {MAX_DEPTH} levels of nesting, found more"),
    "values": (
        "- 1\n" * (MAX_VALUES + 1),
        f"f:{MAX_VALUES}:3: expected at most {MAX_VALUES} values in a file, found more",
    ),
    "tag": ("a: !!python/object/apply:os.system ['ls']", "f:1:4: tags are not allowed here, found !!python/object/apply:os.system"),
    "tag of a scalar": ("a: !secret x", "f:1:4: tags are not allowed here, found !secret"),
    "tag that is no number": ('a: !!int "x"', "f:1:4: expected a number after the tag, found 'x'"),
    "merge key": ("a: &a {b: 1}\nc: {<<: *a}", "f:2:5: merge keys (<<) are not supported; write the keys out"),
    "tag without end": ("!" * 5000, f"f:1:1: tags are not allowed here, found {'!' * 40}"),
    "key without end": ("k" * 500 + ": 1", "f:1:1: expected a key of at most 200 characters, found 500"),
    "a mapping as a key": ("{a}: 1", "f:1:1: expected text as a key, found a list or a mapping; braces need quotes here"),
    "control character": ('a: "x\\e[31m"', "f:1:4: expected printable text, found the character U+001B"),
    "turned text": ('a: "x\\u202e"', "f:1:4: expected printable text, found the character U+202E"),
    "half a character": ('a: "\\ud800"', "f:1:4: expected printable text, found the character U+D800"),
    "no such character": ('a: "\\UFFFFFFFF"', "f: not readable as YAML: an escape that is no character"),
    "raw control character": ("a: 1\nb: \x07\n", "f:2:4: expected printable text, found the character U+0007"),
    "tab": ("a:\n\tb: 1\n", "f:2:1: not readable as YAML: while scanning for the next token, found character '\\t' that cannot start any token; indent with spaces"),
    "two documents": ("a: 1\n---\nb: 2\n", "f:2:1: not readable as YAML: expected a single document in the stream, but found another document"),
    "open bracket": ("a: [1, 2\n", "f:2:1: not readable as YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
    "unknown alias": ("a: *b\n", "f:1:4: not readable as YAML: found undefined alias 'b'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    text, expected = REFUSED[case]
    with pytest.raises(WorkloadError) as caught:
        parse_yaml(text, "f")
    assert str(caught.value) == expected
