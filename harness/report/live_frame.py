"""What a live view shows at one moment, drawn: servers, pipelines, how far and how fast. No clock, no terminal.

Every line has several wordings, and the longest that fits is taken; nothing depends on colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from harness.report.text import plain
from harness.units import about, count, elapsed, rate, seconds, size

__all__ = ["Frame", "JobsRow", "ServerRow", "draw"]

_MOST_CELLS = 16  # a server with more slots gets a bar of this many cells
_LEAST_NAME = 8
_MOST_NAME = 24


class ServerRow(NamedTuple):
    """One server as the router sees it: its own counts, not the server's."""

    server: str
    slots: int
    in_flight: int
    waiting: int


class JobsRow(NamedTuple):
    """How far one pipeline is."""

    pipeline: str
    started: int
    ended: int
    jobs: int | None  # in all; None where another pipeline's end is theirs
    noun: str = "job"
    wait_s: float | None = None  # what one waited for a slot: the median of the last ones


class Frame(NamedTuple):
    """Everything that is drawn. `None` and empty: nothing to say about it."""

    noun: str = "trial"
    number: int = 0  # of the trial under way; 0 = none has begun
    total: int | None = None  # None: until enough is known
    title: str = ""
    done: float = 0.0  # of all, from 0 to 1
    elapsed_s: float = 0.0
    left_s: float | None = None
    at_most: bool = False  # the time left is a bound
    left_of: str = ""  # what of all the time left is for; empty = all
    servers: Sequence[ServerRow] = ()
    waiting_anywhere: int | None = None  # calls that may go to several servers: waiting in all
    pipelines: Sequence[JobsRow] = ()
    calls: int = 0
    failed: int = 0
    tokens_per_s: float | None = None
    download: tuple[int, int] | None = None  # bytes that have come, of all
    step: tuple[int, int] | None = None  # set-up that goes on: parts that are done, of all; of 0 where nobody knows


class _Glyphs(NamedTuple):
    full: str
    empty: str
    line: str
    rest: str


_UNICODE = _Glyphs("■", "□", "━", "─")
_ASCII = _Glyphs("#", ".", "=", "-")


def draw(frame: Frame, width: int, *, ascii_only: bool = False) -> Text:
    """Draw a frame into lines of at most `width` cells."""
    glyphs = _ASCII if ascii_only else _UNICODE
    lines: list[Text] = []
    if frame.download is not None:
        came, total = frame.download
        words = f"{size(came)} of {size(total)}"
        lines += [
            _fit(width, [f"fetching the model: {words}", words]),
            _bar(came / max(total, 1), width, glyphs),
        ]
    if frame.step is not None:
        lines += _step(frame, *frame.step, width, glyphs)
    if frame.number:
        lines += [_head(frame, width), _bar(frame.done, width, glyphs)]
    if frame.number or frame.servers:
        lines += _rows(frame, width, glyphs)
        if frame.calls:
            lines.append(_fit(width, _calls(frame)))
        if frame.servers:
            full = glyphs.full
            words = f"  {full} a slot that should be busy: the router counts calls, it sees no slots"
            lines.append(_fit(width, [words, f"  {full} busy, as far as calls are counted", ""], "dim"))
    return Text("\n", no_wrap=True, overflow="crop").join(line for line in lines if line.plain)


def _step(frame: Frame, done: int, total: int, width: int, glyphs: _Glyphs) -> list[Text]:
    past = elapsed(frame.elapsed_s)
    if not total:
        return [_fit(width, [f"  this step: {past} so far", f"  {past}"])]
    far = f"  {done} of {total}, {past} so far"
    left = "" if frame.left_s is None or done == total else f", about {about(frame.left_s)} left"
    return [_fit(width, [far + left, far, f"  {done} of {total}"]), _bar(frame.done, width, glyphs)]


def _head(frame: Frame, width: int) -> Text:
    total = "" if frame.total is None else f" of {frame.total}"
    what = f"{frame.noun} {frame.number}{total}"
    what, title = what[:1].upper() + what[1:], plain(frame.title)
    left = ["", ""]
    if frame.left_s is not None:
        roughly = "at most " if frame.at_most else "about "
        left_of = f" for {plain(frame.left_of)}" if frame.left_of else ""
        left = [f", {roughly}{about(frame.left_s)} left{left_of}", f", {about(frame.left_s)} left"]
    past = elapsed(frame.elapsed_s)
    for begins, ends in (
        (f"{what}: {title}", f"{past}{left[0]}"),
        (f"{what}: {title}", f"{past}{left[1]}"),
        (f"{what}: {title}", left[1].removeprefix(", ") or past),
        (what, left[1].removeprefix(", ") or past),
    ):
        room = width - cell_len(begins) - cell_len(ends)
        if room >= 2:
            return Text(begins, style="bold").append(" " * room + ends, style="not bold")
    return _fit(width, [f"{what}: {title}", what], "bold")


def _rows(frame: Frame, width: int, glyphs: _Glyphs) -> list[Text]:
    names = [plain(name) for name in (*(s.server for s in frame.servers), *(p.pipeline for p in frame.pipelines))]
    widest = max((cell_len(name) for name in names), default=0)
    name_width = min(widest, max(_LEAST_NAME, min(_MOST_NAME, width // 4)))
    bars = [_cells(row, glyphs) for row in frame.servers]
    bar_width = max((len(bar) for bar in bars), default=0)
    lines = []
    shared = frame.waiting_anywhere is not None
    for name, row, bar in zip(names, frame.servers, bars, strict=False):
        said = [f"{row.in_flight} in flight of {count(row.slots, 'slot')}", f"{row.in_flight} of {row.slots}"]
        if row.in_flight > row.slots:
            over = row.in_flight - row.slots
            said[:1] = [f"{row.in_flight} in flight, {over} more than slots"]
        if not shared:
            said = [f"{words}, {row.waiting} waiting" for words in said] + said[-1:]
        lines.append(_row(name, name_width, [f"{bar:<{bar_width}}  {words}" for words in said], width))
    if frame.waiting_anywhere is not None:
        waiting = count(frame.waiting_anywhere, "call")
        lines.append(_fit(width, [f"  {waiting} waiting, each for any server it may go to", f"  {waiting} waiting"]))
    for name, jobs in zip(names[len(frame.servers) :], frame.pipelines, strict=True):
        total = "" if jobs.jobs is None else f" of {jobs.jobs}"
        done = f"{jobs.ended}{total} {jobs.noun}{'' if (jobs.jobs or jobs.ended) == 1 else 's'} done"
        said = [f"{done}, {jobs.started - jobs.ended} under way", done, f"{jobs.ended}{total}"]
        if jobs.wait_s is not None:
            said[:0] = [f"{said[0]}, waited {seconds(jobs.wait_s)} (median of the last ones)"]
        lines.append(_row(name, name_width, said, width))
    return lines


def _calls(frame: Frame) -> list[str]:
    done = f"  {count(frame.calls, 'call')} done"
    failed = f", {frame.failed} failed" if frame.failed else ""
    if frame.tokens_per_s is None:
        return [done + failed]
    speed = rate(frame.tokens_per_s)
    return [f"{done}{failed}, {speed} (answers that have ended)", f"{done}{failed}, {speed}", f"{done}{failed}"]


def _cells(row: ServerRow, glyphs: _Glyphs) -> str:
    cells = min(row.slots, _MOST_CELLS)
    busy = min(row.in_flight, row.slots)
    full = -(-busy * cells // row.slots) if row.slots else 0  # one call in flight is never drawn as none
    return glyphs.full * full + glyphs.empty * (cells - full)


def _bar(done: float, width: int, glyphs: _Glyphs) -> Text:
    full = min(width, max(0, round(done * width)))
    return Text(glyphs.line * full, style="cyan").append(glyphs.rest * (width - full), style="dim")


def _row(name: str, name_width: int, wordings: Iterable[str], width: int) -> Text:
    cut = name if cell_len(name) <= name_width else set_cell_size(name, name_width - 1) + "…"
    begins = f"  {set_cell_size(cut, name_width)}  "
    return _fit(width, [begins + words for words in wordings])


def _fit(width: int, wordings: Sequence[str], style: str = "") -> Text:
    """Return the first wording that fits, else the last one truncated."""
    chosen = next((words for words in wordings if cell_len(words) <= width), set_cell_size(wordings[-1], width))
    return Text(chosen.rstrip(), style=style)
