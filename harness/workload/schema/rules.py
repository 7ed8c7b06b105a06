"""Rules on the text that a model answered: they decide branches and loops where `control: model`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from harness.workload.schema.base import Spec, mistake, one_key_of

__all__ = ["FirstWord", "JsonIs", "Otherwise", "Regex", "Rule"]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise mistake(f"expected a regular expression, found one that cannot be read: {error}") from None
    return pattern


class Regex(Spec):
    """True where the pattern is found anywhere in the answer (Python's `re.search`)."""

    regex: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_compiles)] = Field(
        description="A Python regular expression; `(?i)` at its start ignores case.", examples=["APPROVED|LGTM"]
    )


class FirstWord(Spec):
    """True where the answer begins with this word, whatever its case and the punctuation around it."""

    first_word: Annotated[str, Field(pattern=r"^\S{1,100}$")] = Field(
        description="The word, without punctuation around it.", examples=["billing"]
    )


class JsonIs(Spec):
    """True where the JSON value in the answer has this value at this path; without a value: where it has any there."""

    json_: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        alias="json",
        description="Path into the JSON value, with dots; a number is a place in a list.",
        examples=["topic", "checks.0.passed"],
    )
    is_: (
        Annotated[
            Annotated[str, Tag("<text>")] | Annotated[bool, Tag("<truth>")] | Annotated[float, Tag("<number>")],
            Discriminator(
                lambda value: (
                    "<text>"
                    if isinstance(value, str)
                    else "<truth>"
                    if isinstance(value, bool)
                    else "<number>"
                    if isinstance(value, (int, float))
                    else None
                ),
                custom_error_type="shape",
                custom_error_message="expected text, a number, true or false",
            ),
        ]
        | None
    ) = Field(
        default=None,
        alias="is",
        description="The value that stands there: text, a number, true or false; left out: any.",
        examples=["billing"],
    )


class Otherwise(Spec):
    """Always true: what is left when no rule before it was."""

    otherwise: Literal[True] = Field(description="Always `true`.", examples=[True])


Rule = Annotated[
    Annotated[Regex, Tag("<regex>")]
    | Annotated[FirstWord, Tag("<first_word>")]
    | Annotated[JsonIs, Tag("<json>")]
    | Annotated[Otherwise, Tag("<otherwise>")],
    one_key_of(("regex", "first_word", "json", "otherwise")),
]
