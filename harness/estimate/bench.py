"""What benchmarks printed, as figures that take the place of estimates: recognised by content, never by a file's name.

llama-bench prints Markdown, CSV, JSON, JSON lines and SQL; llama-batched-bench a table and JSON lines; `slotwise probe
--json` the ladder of a server. All of them become rows with llama-bench's names of columns, or with batched-bench's.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from harness.errors import UserError
from harness.estimate.given import Given

__all__ = ["Bench", "read_bench"]

MOST_BYTES = 4 << 20
MOST_SEQUENCES = 64
_CELL = re.compile(r"^\s*([\d.]+(?:e[+-]?\d+)?)(?:\s*±.*)?$")
_TEST = re.compile(r"^(pp|tg)\s*(\d+)(?:\s*@\s*d(\d+))?$")
_INSERT = re.compile(r"INSERT INTO \w+ \(([^)]*)\)\s*VALUES\s*\((.*)\)\s*;?\s*$")
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

Row = Mapping[str, Any]


class Bench(NamedTuple):
    """Figures of one model on one machine; None and "": the file does not tell."""

    given: Given
    model: str = ""
    parameters: float | None = None
    model_bytes: float | None = None


def read_bench(path: Path) -> Bench:
    """Read what llama-bench, llama-batched-bench or `slotwise probe --json` printed.

    Of several rows of one kind the fastest counts. Figures with other text before them (`-d`) are left out, since a
    profile's are at an empty context.

    Raises:
        UserError: it cannot be read, is none of these, or is of several models or servers.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"--bench {path}: cannot be read ({error.strerror or error})") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"--bench {path}: expected what a benchmark printed, found more than {MOST_BYTES >> 20} MB")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # as PowerShell redirects it
    text = data.decode("utf-16" if wide else "utf-8-sig", "replace")
    rows = list(_rows(path, text))
    given = _given(rows)
    if given == Given():
        raise UserError(
            f"--bench {path}: expected what llama-bench (Markdown, CSV, JSON, JSON lines or SQL), llama-batched-bench "
            "(its table or JSON lines) or `slotwise probe --json` printed; found no speed of any of them"
        )
    models = dict.fromkeys(name for row in rows if (name := " ".join(str(row.get("model_type") or "").split())))
    if len(models) > 1:
        names = ", ".join(name[:40] for name in list(models)[:5])
        raise UserError(f"--bench {path}: expected one model, found {names}; keep the rows of one")
    return Bench(given, next(iter(models), ""), *(_first(rows, key) for key in ("model_n_params", "model_size")))


def _rows(path: Path, text: str) -> Iterator[Row]:
    """Yield the rows of whichever format it is."""
    found = _json(text)
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        found = [_json(line) for line in text.splitlines() if line.lstrip().startswith("{")]
    rows = [row for row in found if isinstance(row, dict)]
    ladders = [row for row in rows if isinstance(row.get("rows"), list)]
    if ladders:
        yield from _ladder(path, ladders)
    elif rows:
        yield from rows
    elif _INSERT.search(text) or "INSERT INTO" in text:
        yield from _of_sql(text)
    elif any(line.lstrip().startswith("|") for line in text.splitlines()):
        yield from _of_table(text)
    else:
        yield from _of_csv(text)


def _json(text: str) -> Any:
    """Return the JSON of a text; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _ladder(path: Path, ladders: Sequence[Row]) -> Iterator[Row]:
    """Yield a row for each rung of a probe: calls that ran at once, and what all of them generated a second.

    A call's own rate has neither its prompt nor its wait in it. More calls than slots do not run at once.
    """
    if len(ladders) > 1:
        names = ", ".join(str(one.get("label"))[:40] for one in ladders)
        raise UserError(f"--bench {path}: expected a probe of one server, found {names}; probe the one that it is for")
    (one,) = ladders
    if one.get("origin", "measured") != "measured":
        raise UserError(
            f"--bench {path}: expected a measured probe, found an {one['origin']} one: nothing was measured"
        )
    slots = one.get("slots_found")
    for rung in one["rows"]:
        n = rung.get("concurrent") if isinstance(rung, dict) else None
        rate = _number(rung.get("per_call_tokens_per_s")) if isinstance(rung, dict) else None
        if isinstance(n, int) and rate is not None and (not isinstance(slots, int) or n <= max(1, slots)):
            yield {"pl": n, "speed_tg": n * rate}


def _of_sql(text: str) -> Iterator[Row]:
    for line in text.splitlines():
        if insert := _INSERT.search(line):
            names = [name.strip() for name in insert[1].split(",")]
            values = next(csv.reader([insert[2]], quotechar="'", skipinitialspace=True), [])
            yield dict(zip(names, values, strict=False))


def _of_csv(text: str) -> Iterator[Row]:
    lines = text.splitlines()
    head = next((n for n, line in enumerate(lines) if "avg_ts" in line and "n_prompt" in line), None)
    if head is not None:
        try:
            yield from csv.DictReader(lines[head:])
        except csv.Error:  # a field of more than 128 kB
            return


def _of_table(text: str) -> Iterator[Row]:
    heads: list[str] = []
    for line in text.splitlines():
        if not line.strip().startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        lowered = [cell.lower() for cell in cells]
        if "t/s" in lowered or "s_tg t/s" in lowered:
            heads = lowered
        elif len(cells) == len(heads):
            row = dict(zip(heads, cells, strict=True))
            if test := _TEST.match(row.get("test", "")):
                reads = test[1] == "pp"
                yield {
                    "n_prompt": test[2] if reads else 0,
                    "n_gen": 0 if reads else test[2],
                    "n_depth": test[3] or 0,
                    "avg_ts": row.get("t/s"),
                    "model_type": row.get("model", ""),
                    "model_n_params": row.get("params"),
                    "model_size": row.get("size"),
                }
            elif "b" in row:
                yield {"pl": row["b"], "speed_tg": row.get("s_tg t/s"), "speed_pp": row.get("s_pp t/s")}


def _given(rows: Sequence[Row]) -> Given:
    """Return the fastest of each kind."""
    at: dict[int, float] = {}
    prefill: float | None = None

    def faster(now: float | None, value: object) -> float | None:
        rate = _number(value)
        good = rate is not None and 0.01 < rate < 1e7
        return max(filter(None, (now, rate if good else None)), default=None)

    for row in rows:
        n = _number(row.get("pl"))
        if "avg_ts" in row:
            if _number(row.get("n_depth")):
                continue
            reads, makes = _number(row.get("n_prompt")), _number(row.get("n_gen"))
            if makes and not reads and (rate := faster(at.get(1), row["avg_ts"])) is not None:
                at[1] = rate
            elif reads and not makes:
                prefill = faster(prefill, row["avg_ts"])
        elif n is not None and n == int(n) and 1 <= n <= MOST_SEQUENCES:
            if (rate := faster(at.get(int(n)), row.get("speed_tg"))) is not None:
                at[int(n)] = rate
            prefill = faster(prefill, row.get("speed_pp"))
    return Given(at.pop(1, None), MappingProxyType(dict(sorted(at.items()))), prefill)


def _first(rows: Sequence[Row], key: str) -> float | None:
    """Return the first number of a column: plain, or as Markdown has it, `4.58 GiB` and `8.03 B`."""
    for row in rows:
        value = row.get(key)
        if isinstance(value, str) and len(parts := value.split()) == 2 and parts[1] in _UNITS:
            number = _number(parts[0])
            value = None if number is None else number * _UNITS[parts[1]]
        found = _number(value)
        if found is not None and 0 < found < 1e15:
            return found
    return None


def _number(value: object) -> float | None:
    """Return a number, also as text and with a deviation behind it; None where it is none."""
    if isinstance(value, str):
        cell = _CELL.match(value) if len(value) < 40 else None
        try:
            return None if cell is None else float(cell[1])
        except ValueError:  # 1.2.3
            return None
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and isinstance(value, int | float) and abs(value) < 1e18 else None
