"""Rules on answers: what holds, what is found in JSON, what is said where nothing fits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.events import BranchDecision
from harness.workload.rules import (
    MAX_CHARS,
    Decisions,
    holds,
    json_list,
    json_value,
    rule_words,
    shown,
    what_it_says,
)
from harness.workload.schema import FirstWord, JsonIs, Otherwise, Regex, Rule


def is_(path: str, value: str | bool | float) -> JsonIs:
    return JsonIs.model_validate({"json": path, "is": value})


ANSWER = 'Sure:\n```json\n{"topic": "billing", "score": 3, "ok": true, "checks": [{"passed": false}]}\n```'
HOLDS: list[tuple[Rule, str, bool]] = [
    (Regex(regex="APPROVED|LGTM"), "well: LGTM.", True),
    (Regex(regex="APPROVED"), "approved", False),
    (Regex(regex="(?i)approved"), "approved", True),
    (Regex(regex="end$"), "x" * 3 * MAX_CHARS + "end", True),
    (Regex(regex="^x"), "x" + "y" * 3 * MAX_CHARS, True),
    (Regex(regex="middle"), "y" * MAX_CHARS + "middle" + "y" * MAX_CHARS, False),  # bounded: both ends alone
    (FirstWord(first_word="billing"), "**Billing**, because ...", True),
    (FirstWord(first_word="billing"), '"billing".', True),
    (FirstWord(first_word="billing"), "billings", False),
    (FirstWord(first_word="billing"), "it is billing", False),
    (FirstWord(first_word="done"), "", False),
    (is_("topic", "billing"), ANSWER, True),
    (is_("topic", "other"), ANSWER, False),
    (is_("score", 3), ANSWER, True),
    (is_("score", "3"), ANSWER, True),
    (is_("ok", True), ANSWER, True),
    (is_("ok", "true"), ANSWER, True),
    (is_("score", True), ANSWER, False),
    (is_("ok", 1), ANSWER, False),
    (is_("checks.0.passed", False), ANSWER, True),
    (is_("checks.1.passed", False), ANSWER, False),
    (is_("topic.x", "billing"), ANSWER, False),
    (is_("topic", "billing"), "no JSON here {", False),
    (Otherwise(otherwise=True), "", True),
]


@pytest.mark.parametrize("i", range(len(HOLDS)))
def test_holds(i: int) -> None:
    rule, text, expected = HOLDS[i]
    assert holds(rule, text) is expected


LISTS: list[tuple[str, tuple[str, ...] | None]] = [
    ('["a", "b"]', ("a", "b")),
    ('Here: ["a", 2, {"x": 1}] and so on', ("a", "2", '{"x": 1}')),
    ('{"steps": ["a", "b"], "n": 2}', ("a", "b")),
    ("[]", ()),
    ("see [1] and [two]", ("1",)),
    ("[not json] then [3]", ("3",)),
    ("plain text", None),
    ('{"a": 1}', None),
    ("[" * 100_000, None),
    ("", None),
]


@pytest.mark.parametrize("i", range(len(LISTS)))
def test_lists(i: int) -> None:
    text, expected = LISTS[i]
    assert json_list(text) == expected


@given(st.text(alphabet="abc {}\n", max_size=20), st.lists(st.integers() | st.text(max_size=5), max_size=5))
def test_a_list_is_found_in_any_text_without_brackets(text: str, items: list[object]) -> None:
    expected = tuple(item if isinstance(item, str) else json.dumps(item) for item in items)
    assert json_list(f"{text.replace('{', '')}{json.dumps(items)}{text}") == expected


@given(st.text())
def test_no_answer_breaks_anything(text: str) -> None:
    json_value(text)
    json_list(text)
    assert len(shown(text)) <= 205
    assert shown(text).isprintable()


BRANCH: dict[str, Rule] = {"yes": FirstWord(first_word="yes"), "no": Regex(regex="(?i)\\bno\\b")}


def test_what_an_answer_says() -> None:
    assert what_it_says("n", Decisions(BRANCH, None, None), "well, no") == BranchDecision(branch=1)
    assert what_it_says("n", Decisions(BRANCH, None, None), "Yes, and no") == BranchDecision(
        branch=0
    )  # the first that holds
    assert what_it_says("n", Decisions({}, FirstWord(first_word="done"), None), "Done!") == BranchDecision(stop=True)
    assert what_it_says("n", Decisions({}, FirstWord(first_word="done"), None), "more") == BranchDecision(stop=False)
    assert what_it_says("n", Decisions({}, None, 3), '["a", "b"]') == BranchDecision(items=2)


def test_an_answer_that_says_nothing() -> None:
    text = "maybe\x1b[31m " + "y" * 500
    said = what_it_says("n", Decisions(BRANCH, None, None), text)
    assert (said.branch, said.items) == (None, None)
    assert said.error == (
        'node "n": no label of its branch fits; expected yes: begins with yes; no: matches (?i)\\bno\\b; '
        f'found: "maybe [31m {"y" * 189}..."'
    )
    assert what_it_says("n", Decisions({}, None, 3), " ").error == (
        'node "n": expected a JSON list to fan out over; found: an empty answer'
    )
    assert what_it_says("n", Decisions({}, None, 1), '["a", "b"]') == BranchDecision(
        error='node "n": expected a list of at most 1 items, found 2; found: "["a", "b"]"'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"address": {"city": "York"}}', True),
        ('Here it is: {"address": {"city": null}}', True),  # it stands there, whatever it is
        ('{"address": {}}', False),
        ('{"address": {"city": "Yo', False),
        ("York", False),
        ("", False),
    ],
)
def test_a_path_without_a_value_asks_for_any(text: str, expected: bool) -> None:
    rule = JsonIs.model_validate({"json": "address.city"})
    assert holds(rule, text) is expected
    assert rule_words(rule) == "has address.city"
