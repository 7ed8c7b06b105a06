"""What others wrote is shown as text."""

from __future__ import annotations

import pytest

from harness.report.text import markdown, plain, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain name", "a plain name"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("two\nlines\tand\ra tab", "two lines and a tab"),
        ("bell\x07 c1\x9b31m del\x7f", "bell c131m del"),
        ("right\u202eot tfel\u2066", "rightot tfel"),
        ("Grüße, 東京, 🙂", "Grüße, 東京, 🙂"),
    ],
)
def test_plain_text_has_no_control_characters(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", r"\<script\>alert(1)\</script\>"),
        ("[link](javascript:x) ![image](x)", r"\[link\](javascript:x) \!\[image\](x)"),
        ("a | b `c` *d* _e_ snake_case ~f~", r"a \| b \`c\` \*d\* \_e\_ snake_case \~f\~"),
        ("&lt; $x$ \\", r"\&lt; \$x\$ \\"),
        ("# no heading", r"\# no heading"),
        ("- no item", r"\- no item"),
        ("1. no item", r"1\. no item"),
        ("1.5 times", "1.5 times"),
        ("-0.5 s", "-0.5 s"),
        ("--- no rule", r"\--- no rule"),
        ("line\n# break", "line # break"),
    ],
)
def test_markdown_shows_marks_as_they_are(text: str, shown: str) -> None:
    assert markdown(text) == shown


@pytest.mark.parametrize(
    ("name", "most", "shown"),
    [("critic", 6, "critic"), ("critics", 6, "cr…ics"), ("summarize-first-part", 11, "summa…-part"), ("", 5, "")],
)
def test_a_long_name_loses_its_middle(name: str, most: int, shown: str) -> None:
    assert shortened(name, most) == shown and len(shown) <= most
