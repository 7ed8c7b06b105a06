"""Templates: what is filled in, what is refused, and that nothing else is ever looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.workload.prompts import (
    Prompt,
    Slot,
    TemplateError,
    Wording,
    estimate_tokens,
    parse,
    prompt_tokens,
    render,
)


def test_parse_splits_once() -> None:
    assert parse("Sum {item} of {docs-2}.") == ("Sum ", Slot("item", 4), " of ", Slot("docs-2", 14), ".")


def test_render_item_input_and_outputs() -> None:
    template = parse("{item}|{docs}|{one}|{many}")
    text = render(template, "I", {"docs": ("a", "b")}, {"one": (" x \n",), "many": ("p", " q")})
    assert text == "I|a\n\nb|x|1. p\n2. q"


def test_doubled_braces_are_braces() -> None:
    assert render(parse('{{"label": "{item}"}} {{}} }}{{'), "bug", {}, {}) == '{"label": "bug"} {} }{'


HOSTILE = {
    "{item.__class__}": (0, '"{item.__class__}"'),
    "{0}": (0, '"{0}"'),
    "{}": (0, '"{}"'),
    "{item!r}": (0, '"{item!r}"'),
    "{item:>9999999999}": (0, '"{item:>9999999999}"'),
    "{item[0]}": (0, '"{item[0]}"'),
    "{{{item.x}}}": (2, '"{item.x}"'),
    "a } b": (2, '"}"'),
    "a {": (2, '"{"'),
    "{ item }": (0, '"{ item }"'),
    "{élan}": (0, '"{élan}"'),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_anything_but_a_name_is_refused(text: str) -> None:
    offset, shown = HOSTILE[text]
    with pytest.raises(TemplateError) as caught:
        parse(text)
    assert caught.value.offset == offset
    assert shown in str(caught.value)


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    assert render(parse("{item} {node}"), "{node} {{x}}", {}, {"node": ("{item}",)}) == "{node} {{x}} {item}"


@given(st.text())
def test_escaped_text_comes_back(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert render(parse(escaped), None, {}, {}) == text


@given(st.text(alphabet="{}aé0.\n"))
def test_parse_answers_or_refuses(text: str) -> None:
    try:
        parts = parse(text)
    except TemplateError as error:
        assert text[error.offset] in "{}"
    else:
        literals = sum(len(part) for part in parts if isinstance(part, str))
        doubled = text.count("{{") + text.count("}}")
        names = sum(len(part.name) + 2 for part in parts if isinstance(part, Slot))
        assert literals + names <= len(text) <= literals + names + 2 * doubled


@pytest.mark.parametrize(
    ("text", "pieces", "long_letters"),
    [
        ("", 0, 0),
        ("a cat, a dog", 5, 0),
        ("letter letters", 2, 1),
        ("Größenordnung", 1, 7),
        ("07:45", 5, 0),
        ("one\n\ntwo\n- three", 6, 0),
        ("snake_case", 3, 0),
    ],
)
def test_wording(text: str, pieces: int, long_letters: int) -> None:
    assert Wording.of(text) == (pieces, long_letters)


def test_tokens_of_a_prompt_are_those_of_its_parts() -> None:
    prompt = Prompt(parse("ab {item} cd {all} {node} {gone}"), parse("ef {item}"))
    count = {"ab ": 1.0, " cd ": 10.0, " ": 0.5, "ef ": 100.0}.__getitem__
    assert prompt_tokens(prompt, count, 1000.0, {"all": 10_000.0}, {"node": 100_000.0}) == 112_112.0


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abc", 1), ("abcd", 1), ("abcde", 2)])
def test_estimate(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
