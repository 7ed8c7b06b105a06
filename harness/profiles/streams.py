"""Streamed calls from a file, as a calibration observes them: for profiles of servers that somebody else measured.

One line of JSON a call, in any order, all on one clock: `scenario` (what it was part of), `slots` (of the server),
`sent_s` and `end_s` (seconds), and Ollama's own counters as it sends them: `prompt_eval_count`, `eval_count`,
`prompt_eval_duration`, `eval_duration`, `total_duration`, `load_duration` (nanoseconds), and `chunks_s`, when each
piece of the answer came. Other keys are left alone. The file holds every call that the server answered since it was
started: which slot each call had follows from all before.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from harness.core.levers import AS_MADE, Levers
from harness.errors import UserError
from harness.profiles.gaps import Gap, runs_of
from harness.profiles.replay import Observed
from harness.profiles.seats import seated

__all__ = ["HELD_OUT", "Streams", "read_streams"]

HELD_OUT = "window"  # scenarios that begin so are not fitted: staggered work of all sizes, which tests the fit
WARM = "warm"  # the first call, with loading
SETTLED = 3  # gaps of a call that are left out: its passes have not settled
CLEAR = 4  # steps before a gap in which nothing may have changed
MOST_BURSTS = 100_000  # of one file
SOON_S = 0.005  # a call that was sent this soon after an answer waited for it
NUMBERS = (
    "slots",
    "sent_s",
    "end_s",
    "prompt_eval_count",
    "eval_count",
    "prompt_eval_duration",
    "eval_duration",
    "total_duration",
    "load_duration",
)


class Streams(NamedTuple):
    """The calls of one file: those to fit, and those that test the fit. `without`: calls without a final line."""

    slots: int
    fitted: tuple[Observed, ...]
    held_out: tuple[Observed, ...]
    gaps: tuple[Gap, ...]
    without: int


def read_streams(path: Path, levers: Levers = AS_MADE, pace: int = 0) -> Streams:
    """Read a file of streamed calls.

    Args:
        path: of the file.
        levers: of the server, where they are not those of the profile to be made.
        pace: number of the file among those of its slot setting; its bursts are told apart from theirs by it.

    Raises:
        UserError: it cannot be read, or a line is not such a call; or no call is left.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    rows, without = [], 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            row = _row(path, number, line)
            if row is None:
                without += 1
            else:
                rows.append(row)
    slots = {int(row["slots"]) for row in rows}
    if len(slots) != 1:
        found = ", ".join(map(str, sorted(slots))) or "no call"
        raise UserError(f"{path}: expected calls of one slot setting, found {found}")
    rows.sort(key=lambda row: row["sent_s"])
    bursts = _bursts(rows)
    observed = [
        call._replace(levers=levers, pace=pace)
        for number, calls in enumerate(bursts)
        for call in _observed(number + MOST_BURSTS * pace, calls)
    ]
    (number_of_slots,) = slots
    steps = [c.decode_s / (c.output_tokens - 1) for c in observed if c.decode_s and c.output_tokens > 1]
    step_s = median(steps) if steps else 0.0
    calls = seated(observed, number_of_slots, step_s)
    gaps = []
    if not levers.kv_unified:
        place = iter(calls)
        for burst in bursts:
            seats = [next(place) for _ in burst]
            if not seats[0].burst.startswith((WARM, HELD_OUT)):
                gaps += _gaps(burst, seats, step_s)
    calls = [call for call in calls if call.burst != WARM]
    return Streams(
        number_of_slots,
        tuple(call for call in calls if not call.burst.startswith(HELD_OUT)),
        tuple(call for call in calls if call.burst.startswith(HELD_OUT)),
        tuple(gaps),
        without,
    )


def _gaps(rows: Sequence[dict[str, Any]], calls: Sequence[Observed], step_s: float) -> list[Gap]:
    """Return the times between tokens while the same slots generate, and nobody comes, ends or reads a prompt."""
    found = []
    for row in rows:
        chunks = row["chunks_s"]
        for began_s, ended_s in zip(chunks[SETTLED:], chunks[SETTLED + 1 :], strict=False):
            busy = [i for i, other in enumerate(rows) if other["sent_s"] < ended_s and other["end_s"] > began_s]
            if all(_generates(rows[i], began_s - CLEAR * step_s, ended_s) for i in busy if rows[i] is not row):
                found.append(Gap(calls[0].repetition, runs_of([calls[i].seat for i in busy]), ended_s - began_s))
    return found


def _generates(row: dict[str, Any], began_s: float, ended_s: float) -> bool:
    chunks = row["chunks_s"]
    return bool(chunks) and bool(chunks[0] <= began_s and chunks[-1] >= ended_s)


def _row(path: Path, number: int, line: str) -> dict[str, Any] | None:
    """Return a call; None where it has no final line, and so no counters."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {number}: expected a JSON object, found {error}") from None
    if not isinstance(row, dict) or "scenario" not in row:
        raise UserError(f'{path}, line {number}: expected an object with "scenario", found {line[:40]}')
    if not isinstance(row.get("chunks_s"), list):
        raise UserError(f"{path}, line {number}: expected a list for chunks_s, found {row.get('chunks_s')!r}")
    if row.get("eval_count") is None:
        return None
    for key in NUMBERS:
        if not isinstance(row.get(key), int | float) or isinstance(row[key], bool):
            raise UserError(f"{path}, line {number}: expected a number for {key}, found {row.get(key)!r}")
    return row


def _bursts(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the calls between two moments at which nothing was under way."""
    bursts: list[list[dict[str, Any]]] = []
    until_s = -1.0
    for row in rows:
        if row["sent_s"] > until_s:
            bursts.append([])
        bursts[-1].append(row)
        until_s = max(until_s, row["end_s"])
    return bursts


def _observed(number: int, rows: Sequence[dict[str, Any]]) -> list[Observed]:
    begin_s = rows[0]["sent_s"]
    answered: dict[int, float] = {}
    name = min((str(row["scenario"]) for row in rows), key=len)
    groups: dict[float, list[int]] = defaultdict(list)
    found = []
    for i, row in enumerate(rows):
        waited = [j for j, end_s in answered.items() if 0 <= row["sent_s"] - end_s < SOON_S]
        after = max(waited, key=answered.__getitem__, default=-1)
        group = next((at_s for at_s in groups if row["sent_s"] - at_s < SOON_S), row["sent_s"])
        groups[group].append(i)
        answered[i] = row["end_s"]
        found.append(
            Observed(
                burst=name,
                repetition=number,
                server=0,
                sent_s=row["sent_s"] - begin_s,
                prompt_tokens=int(row["prompt_eval_count"]),
                output_tokens=int(row["eval_count"]),
                prefill_s=row["prompt_eval_duration"] / 1e9,
                decode_s=row["eval_duration"] / 1e9,
                wall_s=row["end_s"] - row["sent_s"],
                load_s=row["load_duration"] / 1e9,
                group=list(groups).index(group),
                total_s=row["total_duration"] / 1e9,
                after=after,
            )
        )
    return found
