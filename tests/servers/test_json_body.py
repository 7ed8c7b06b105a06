"""What a request may say in JSON, and what it may not."""

from __future__ import annotations

import json

import pytest

from harness.servers.json_body import MOST_LEVELS, strict_json, too_deep

PAIR = b'"\\ud83d\\ude00"'


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b'{"a": [1, -2.5e3, "\xc3\xa9"]}',
        b"18446744073709551615",
        b"-9223372036854775808",
        PAIR,
        b"1e308",
        b"[" * 200 + b"]" * 200,
    ],
)
def test_what_fits_is_read_as_it_is(text: bytes) -> None:
    assert strict_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "Expecting property name"),
        (b'"\xff"', "can't decode byte 0xff"),
        ('{"a": 1}'.encode("utf-16"), "can't decode byte 0xff"),
        (b"\xef\xbb\xbf{}", "Unexpected UTF-8 BOM"),
        (b"[NaN]", "NaN is no number in JSON"),
        (b"-Infinity", "-Infinity is no number in JSON"),
        (b"18446744073709551616", "a number with 20 digits; expected one that fits into 64 bits"),
        (b"-9223372036854775809", "a number with 19 digits; expected one that fits into 64 bits"),
        (b"9" * 400, "a number with 400 digits"),
        (b"9" * 5000, "a number with 5000 digits"),
        (b"1e400", "a number beyond 1e308"),
        (b"-1e400", "a number beyond 1e308"),
        (b'{"\\ud800": 1}', "half of a surrogate pair"),
        (b'["\\udfff\\ud800"]', "half of a surrogate pair"),
        (b"[" * 201 + b"]" * 201, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_does_not_is_said_in_a_line(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        strict_json(text)
    assert said in str(error.value)


def test_levels_are_counted_through_objects_too() -> None:
    value: object = {}
    for _ in range(MOST_LEVELS - 1):
        value = {"a": value, "b": 1}
    assert not too_deep(value)
    assert too_deep([value])
