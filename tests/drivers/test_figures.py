"""What a server says of a call is held against the client's clock: what cannot be is left out, and said."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drivers.figures import figures_of, number_in, one_line

SAID = {
    "total_duration": 900_000_000,
    "load_duration": 100_000_000,
    "prompt_eval_duration": 300_000_000,
    "eval_duration": 500_000_000,
    "prompt_eval_count": 20,
    "eval_count": 8,
}
DAY_NS = 86_400 * 10**9
LEFT_OUT = "the server says what cannot be, and it is left out: "


def test_what_can_be_is_believed() -> None:
    assert figures_of(SAID, 50_000_000, 1.0) == (0.9, 0.1, 0.3, 0.5, 0.05, 20, 8, None)


@pytest.mark.parametrize(
    "value", [-1, DAY_NS, 365 * DAY_NS, 10**18, 10**400, -(10**400), nan, inf, "5", True, [1], {"a": 1}, 1e300]
)
def test_a_duration_that_cannot_be_is_left_out(value: Any) -> None:
    found = figures_of({**SAID, "eval_duration": value}, None, 1.0)
    assert (found.decode_s, found.prefill_s, found.output_tokens) == (None, 0.3, 8)
    assert found.doubt is not None and found.doubt.startswith(f"{LEFT_OUT}eval_duration is ") and len(found.doubt) < 200


@pytest.mark.parametrize("value", [-8, 10**9, 2.5, nan, inf, 10**400, "many", True, None.__class__])
def test_a_count_that_cannot_be_is_left_out(value: Any) -> None:
    found = figures_of({**SAID, "eval_count": value}, None, 1.0)
    assert (found.output_tokens, found.prompt_tokens) == (None, 20)
    assert found.doubt is not None and found.doubt.startswith(f"{LEFT_OUT}eval_count is ")


def test_parts_that_are_longer_than_the_call_together_are_left_out() -> None:
    found = figures_of({**SAID, "prompt_eval_duration": 900_000_000}, None, 1.0)
    assert found[:5] == (None, None, None, None, None) and (found.prompt_tokens, found.output_tokens) == (20, 8)
    assert found.doubt == f"{LEFT_OUT}its parts take 1.50 s in a call of 1.00 s"


def test_what_is_not_said_is_no_doubt() -> None:
    assert figures_of({}, None, 1.0) == (None,) * 8


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text("a5 \x1b\u202e\u00e9", max_size=20),
    st.lists(st.integers(), max_size=2),
)


@given(st.dictionaries(st.sampled_from(sorted(SAID)), anything), st.none() | st.integers(), st.floats(0, 1e6))
def test_whatever_is_said_nothing_is_unbounded(said: dict[str, Any], queue_ns: int | None, wall_s: float) -> None:
    found = figures_of(said, queue_ns, wall_s)
    assert all(value is None or 0 <= value <= wall_s * 1.05 + 0.05 for value in found[:5])
    assert all(value is None or 0 <= value <= 10**8 for value in found[5:7])
    assert found.doubt is None or (found.doubt.isprintable() and len(found.doubt) < 200)


@pytest.mark.parametrize("header", ["\u00b2", "-5", "9" * 400, "1.5", "", " 7", None, "0x10"])
def test_a_header_that_holds_no_number_says_nothing(header: str | None) -> None:
    assert number_in(header) is None


def test_a_header_with_a_number() -> None:
    assert number_in("1250000000") == 1_250_000_000


def test_words_of_a_server_are_one_printable_line() -> None:
    assert one_line("\x1b[2J\x1b]0;pwn\x07 \x00\r\n\tlength\u202e\u2028" * 100, 40).isprintable()
    assert len(one_line("x" * 10**6)) == 300
