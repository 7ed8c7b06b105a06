"""An answer on a screen, at most 25 lines of 80 columns, readable without colour; and as Markdown, whole."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from harness.report.text import markdown, plain, shortened
from harness.units import UNIT, count
from harness.wording.answer import WIDTH, Answer, AnswerLine, AnswerPart, AnswerRow, AnswerTable
from harness.wording.to_do import CODE_FOLLOWS

__all__ = ["MOST_LINES", "answer_lines", "answer_markdown", "print_answer"]

MOST_LINES = 25
_JOINED = "\u00a0"  # no line ends there
_MOST_WARNINGS = 3
_INDENT = 11  # of what a part says, after its title
_GAP = 2  # between columns
_LEAST_LABEL, _LONG_LABEL, _LONG_NAME = 14, 24, 36
_LONGEST_HEAD = 14
_ASCII = str.maketrans({"→": ">", "·": "-", "×": "x", "–": "-", "…": "~", "±": "~"})
_FEW_ROWS = 3  # of the table; more give way to what the parts say, but for those that they name
_COMMANDS = 2  # lines that what to do may have more than the other parts
# In this order parts give up their last lines where there are too many.
_GIVE_UP = ("How sure", "Yours", "Instead", "Each run", "Why", "Do this")


def answer_markdown(answer: Answer) -> list[str]:
    """Return the answer as lines of Markdown, in the same order."""
    lines = [f"> {markdown(text)}" for text in answer.warnings]
    lines += [""] if lines else []
    lines += [f"**{markdown(answer.headline)}**", "", markdown(" · ".join(answer.basis)), ""]
    if answer.table is not None:
        heads = [f"{markdown(above)}<br>{markdown(below)}" for above, below in answer.table.columns]
        lines += [f"| candidate | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
        for row in answer.table.rows:
            label = f"**{markdown(row.label)}**" if row.recommended else markdown(row.label)
            lines.append(f"| {label} | {' | '.join(map(markdown, row.cells))} |")
        lines += ["", markdown(answer.table.note), ""] if answer.table.note else [""]
    for part in answer.parts:
        if part.title == "Details":
            continue
        lines += [f"**{part.title}**", ""]
        for line in part.lines:
            lines += ["", f"    {plain(line.text)}", ""] if line.code else [markdown(line.text)]
        lines.append("")
    return [line for number, line in enumerate(lines) if line or lines[number - 1]]


class _Line(NamedTuple):
    text: str
    style: str = ""


def print_answer(answer: Answer, console: Console) -> None:
    """Print an answer."""
    for line in answer_lines(answer, min(WIDTH, console.width), ascii_only=console.options.ascii_only):
        console.print(line, soft_wrap=True)


def answer_lines(answer: Answer, width: int = WIDTH, *, ascii_only: bool = False) -> list[Text]:
    """Lay an answer out; where it is too long for a screen, the lines that matter least are left out."""
    parts, rows = list(answer.parts), len(answer.table.rows) if answer.table else 0
    while len(lines := list(_lines(answer, parts, rows, width))) > MOST_LINES:
        few = max(_FEW_ROWS, len(_wanted(answer.table, parts)))
        if rows > few and rows > sum(len(part.lines) for part in parts) // 2:
            rows -= 1
            continue
        longest = next((part for part in _order(parts) if len(part.lines) > 1), None)
        if longest is not None and longest.title == "Do this" and rows > _FEW_ROWS:  # what to do matters more
            rows -= 1
        elif longest is not None and longest.title == "Do this" and answer.table and answer.table.note:
            answer = answer._replace(table=answer.table._replace(note=""))
        elif longest is not None:
            parts[parts.index(longest)] = _shorter(longest)
        elif rows > 1:
            rows -= 1
        else:
            break
    return [Text(line.text.translate(_ASCII) if ascii_only else line.text, style=line.style) for line in lines]


def _shorter(part: AnswerPart) -> AnswerPart:
    """Leave out the last line, and with a command the sentence that introduces it; of code it says where it is."""
    *lines, last = part.lines
    if last.code and len(lines) > 1 and lines[-1].text.endswith(":"):
        said = lines.pop().text
        if said.endswith(CODE_FOLLOWS):
            lines.append(AnswerLine(f"{said.removesuffix(CODE_FOLLOWS)} (--settings asyncio)."))
    return part._replace(lines=tuple(lines))


def _order(parts: Sequence[AnswerPart]) -> list[AnswerPart]:
    """Return the parts that may give up a line: the one with most lines first, among equals by `_GIVE_UP`."""
    able = [part for title in _GIVE_UP for part in parts if part.title == title]
    return sorted(able, key=lambda part: _COMMANDS * (part.title == "Do this") - len(part.lines))


def _lines(answer: Answer, parts: Sequence[AnswerPart], rows: int, width: int) -> Iterator[_Line]:
    yield from (_Line(_fitted(text, width), "yellow") for text in _warnings(answer.warnings))
    yield from (_Line(line, "bold green") for line in _wrapped(answer.headline, width))
    yield _Line(_basis(answer.basis, width), "dim")
    if answer.table is not None:
        yield _Line("")
        yield from _table(answer.table, _kept(answer.table, parts, rows), width)
    groups = groupby(parts, key=lambda part: part.title in ("Why", "Instead", "Each run", "Yours"))
    for _, group in groups:
        members = list(group)
        for number, part in enumerate(members):
            if number == 0 or part.title in ("How sure",):
                yield _Line("")
            yield from _part(part, width)


def _warnings(warnings: Sequence[str]) -> list[str]:
    kept = [f"! {plain(text)}" for text in warnings[:_MOST_WARNINGS]]
    if len(warnings) > _MOST_WARNINGS:
        kept[-1] = f"! {len(warnings) - _MOST_WARNINGS + 1} more warnings: --full shows them."
    return kept


def _fitted(text: str, width: int) -> str:
    """Return one line of text; one that is too long ends at a word."""
    return textwrap.shorten(plain(text), width, placeholder=" …")


def _basis(texts: Sequence[str], width: int) -> str:
    """Join what an answer rests on; where that is too long, the longest texts lose their ends, never the origin."""
    known = [plain(text) for text in texts]
    while len(joined := " · ".join(known)) > width and max(map(len, known[:-1]), default=0) > _LEAST_LABEL:
        longest = max(range(len(known) - 1), key=lambda number: len(known[number]))
        known[longest] = known[longest].removesuffix("…")[:-1].rstrip() + "…"
    return joined if len(joined) <= width else _fitted(joined, width)


def _part(part: AnswerPart, width: int) -> Iterator[_Line]:
    room = width - _INDENT
    label = plain(part.title)
    for line in part.lines:
        wrapped = _code(plain(line.text), room) if line.code else _wrapped(line.text, room)
        for text in wrapped:
            yield _Line(f"{label:<{_INDENT}}{text}".rstrip(), "cyan" if line.code else "")
            label = ""


def _wrapped(text: str, room: int) -> list[str]:
    """Break a text into lines; a number keeps its unit."""
    joined = UNIT.sub(_JOINED, plain(text))
    return [line.replace(_JOINED, " ") for line in textwrap.wrap(joined, room, break_on_hyphens=False)]


def _code(command: str, room: int) -> list[str]:
    """Break a command with backslashes, so that it can be copied as it stands; a comment that does not fit goes."""
    if len(command) > room:
        command = command.partition("  # ")[0]
    lines, current = [], ""
    for word in _words(command):
        joined = f"{current} {word}" if current else word
        if current and len(joined) > room - 2:
            lines.append(f"{current} \\")
            current = f"  {word}"
        else:
            current = joined
    return [*lines, current]


def _words(command: str) -> list[str]:
    """Part a command where it may be broken: an option keeps its value."""
    words: list[str] = []
    for word in command.split(" "):
        if words and words[-1].startswith("--") and not word.startswith("-"):
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


def _wanted(table: AnswerTable | None, parts: Sequence[AnswerPart]) -> list[int]:
    """Return the rows that a reader looks for: the recommended one, and those that a part names."""
    said = [line.text for part in parts for line in part.lines]
    return [
        number
        for number, row in enumerate(table.rows if table else ())
        if row.recommended or any(f'"{row.name}"' in text for text in said)
    ]


def _kept(table: AnswerTable, parts: Sequence[AnswerPart], most: int) -> list[AnswerRow]:
    """Return so many rows in their order: those that a reader looks for before any other."""
    wanted = _wanted(table, parts)
    order = [*wanted, *(number for number in range(len(table.rows)) if number not in wanted)]
    return [table.rows[number] for number in sorted(order[:most])]


def _table(table: AnswerTable, rows: Sequence[AnswerRow], width: int) -> Iterator[_Line]:
    cells = [[plain(cell) for cell in row.cells] for row in rows]
    heads = [(shortened(plain(above), _LONGEST_HEAD), plain(below)) for above, below in table.columns]
    widths = [
        max(len(above), len(below), *(len(row[number]) for row in cells), 0) if cells else max(len(above), len(below))
        for number, (above, below) in enumerate(heads)
    ]
    longest = max((len(plain(row.label)) for row in rows), default=0)
    shown = _columns(table, widths, width - _label_needed(rows, longest) - 2)
    room = width - 2 - sum(widths[number] + _GAP for number in shown)
    label_width = min(room, longest)
    for line in (0, 1):
        head = "".join(" " * _GAP + f"{heads[number][line]:>{widths[number]}}" for number in shown)
        if head.strip():
            yield _Line(f"{'':<{label_width + 2}}{head}".rstrip(), "dim")
    for row, texts in zip(rows, cells, strict=True):
        mark = "→ " if row.recommended else "  "
        body = "".join(" " * _GAP + f"{texts[number]:>{widths[number]}}" for number in shown)
        label = f"{_labelled(row, label_width):<{label_width}}"
        yield _Line(f"{mark}{label}{body}".rstrip(), "bold" if row.recommended else "")
    left_out = len(table.rows) - len(rows)
    hidden = len(table.columns) - len(shown)
    what = [
        *([count(left_out, "more candidate")] if left_out else []),
        *([count(hidden, "more column")] if hidden else []),
    ]
    notes = [*([f"{' and '.join(what)}: --full"] if what else []), *([plain(table.note)] if table.note else [])]
    joined = " · ".join(notes)
    for note in [joined] if joined and len(joined) <= width - 2 else notes:
        yield _Line(f"  {note}", "dim")


def _label_needed(rows: Sequence[AnswerRow], longest: int) -> int:
    """Return the room that labels must have before columns: whole, or where they are long enough for each name."""
    if longest <= _LONG_LABEL:
        return longest
    return min(_LONG_NAME, max(_LEAST_LABEL, *(len(plain(row.name)) for row in rows)))


def _labelled(row: AnswerRow, room: int) -> str:
    """Return the label, the name alone where there is no room for more, and shortened where that is too long too."""
    label, name = plain(row.label), plain(row.name)
    if len(label) <= room:
        return label
    return name if len(name) <= room else shortened(name, room)


def _columns(table: AnswerTable, widths: Sequence[int], room: int) -> list[int]:
    """Return which columns are shown where not all fit: goals, then one of each figure, then a second one of it."""
    order = sorted(range(len(widths)), key=lambda number: (_rank(table, number), number))
    shown: list[int] = []
    for number in order:
        if sum(widths[n] + _GAP for n in shown) + widths[number] + _GAP <= room:
            shown.append(number)
    return sorted(shown)


def _rank(table: AnswerTable, number: int) -> int:
    """Return 0 for a column of goals, which decide; 1 for the first column of a figure, 2 for the others of it."""
    above, kind = table.columns[number]
    if above.startswith("goal: ") or kind == "met":
        return 0
    first = next(n for n, column in enumerate(table.columns) if column[1] == kind)
    return 1 if number == first else 2
