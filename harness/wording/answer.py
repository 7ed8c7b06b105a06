"""The shape of an answer: what to do, in the first line; what it rests on; the candidates; why, at what cost, how sure.

Every command that answers returns one, and every report begins with it. It is short on purpose: all the rest stands in
the full report. Texts are whole sentences, the most important first, so that a small screen may leave the last ones
out.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["WIDTH", "Answer", "AnswerLine", "AnswerPart", "AnswerRow", "AnswerTable", "part", "without_empty"]

WIDTH = 80  # columns of a screen: a headline takes one line of it


class AnswerRow(NamedTuple):
    """One line of the table; `name` is the candidate's, `label` what is shown."""

    name: str
    label: str
    recommended: bool
    cells: tuple[str, ...]  # one for each column


class AnswerTable(NamedTuple):
    """The figures of the alternatives, the recommended one first."""

    columns: tuple[tuple[str, str], ...]  # the two lines above each: what it is about, and the figure
    rows: tuple[AnswerRow, ...]
    note: str = ""  # on the rows as a whole, without a full stop


class AnswerLine(NamedTuple):
    """A sentence, or something to be copied as it is."""

    text: str
    code: bool = False


class AnswerPart(NamedTuple):
    """A part with its name: why, instead, do this, how sure, details. The first lines matter most."""

    title: str
    lines: tuple[AnswerLine, ...]


class Answer(NamedTuple):
    """What to do and what that rests on."""

    warnings: tuple[str, ...]  # what must be known first: one line each, the worst first
    headline: str
    basis: tuple[str, ...]  # model, engine, machine, origin
    table: AnswerTable | None
    parts: tuple[AnswerPart, ...]


def without_empty(table: AnswerTable) -> AnswerTable:
    """Return the table without columns in which no row has a figure."""
    kept = [n for n in range(len(table.columns)) if any(row.cells[n] != "-" for row in table.rows)]
    rows = tuple(row._replace(cells=tuple(row.cells[n] for n in kept)) for row in table.rows)
    return AnswerTable(tuple(table.columns[n] for n in kept), rows)


def part(title: str, *texts: str) -> AnswerPart:
    """Return a part of sentences."""
    return AnswerPart(title, tuple(map(AnswerLine, texts)))
