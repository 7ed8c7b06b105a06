"""What the user knows of a machine: figures of a benchmark that take the place of estimates."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from harness.errors import UserError

__all__ = ["Given", "read_bench"]

MOST_BYTES = 4 << 20
_CELL = re.compile(r"^\s*([\d.]+)(?:\s*±\s*[\d.]+)?\s*$")


class Given(NamedTuple):
    """Tokens a second, as benchmarks print them; None and empty: not known."""

    decode: float | None = None  # of one sequence alone
    decode_at: Mapping[int, float] = MappingProxyType({})  # of all sequences together, by how many there are
    prefill: float | None = None  # of a prompt

    def over(self, other: Given) -> Given:
        """Return these figures, and the other's where these have none."""
        return Given(
            self.decode if self.decode is not None else other.decode,
            MappingProxyType({**other.decode_at, **self.decode_at}),
            self.prefill if self.prefill is not None else other.prefill,
        )


def read_bench(path: Path) -> Given:
    """Read what llama-bench (Markdown, JSON) or llama-batched-bench (its table, JSON lines) printed.

    Raises:
        UserError: it cannot be read, or is neither.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1).decode("utf-8", "replace")
    except OSError as error:
        raise UserError(f"--bench {path}: cannot be read ({error.strerror or error})") from None
    if len(text) > MOST_BYTES:
        raise UserError(f"--bench {path}: expected what a benchmark printed, found more than {MOST_BYTES} characters")
    found = _of_json(text)
    if found == Given():
        found = _of_table(text)
    if found == Given():
        raise UserError(
            f"--bench {path}: expected the output of llama-bench (Markdown or -o json) or of llama-batched-bench (its "
            "table, or --output-format jsonl), found something else"
        )
    return found


def _of_json(text: str) -> Given:
    try:
        rows = json.loads(text)
    except ValueError:
        rows = [_line(line) for line in text.splitlines() if line.strip().startswith("{")]
    except RecursionError:
        return Given()
    if not isinstance(rows, list):
        return Given()
    rows = [row for row in rows if isinstance(row, dict)]
    decode, at, prefill = None, {}, None
    for row in rows:
        if "avg_ts" in row and (rate := _rate(row["avg_ts"])) is not None:  # llama-bench
            if row.get("n_gen") and not row.get("n_prompt"):
                decode = decode or rate
            elif row.get("n_prompt") and not row.get("n_gen"):
                prefill = prefill or rate
        elif isinstance(n := row.get("pl"), int) and 0 < n <= 64 and (rate := _rate(row.get("speed_tg"))) is not None:
            at[n] = rate
            prefill = prefill or _rate(row.get("speed_pp"))
    return Given(decode or at.pop(1, None), MappingProxyType({n: rate for n, rate in at.items() if n > 1}), prefill)


def _line(line: str) -> Any:
    """Return a line's JSON; None where it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _of_table(text: str) -> Given:
    heads: list[str] = []
    decode, at, prefill = None, {}, None
    for line in text.splitlines():
        if not line.strip().startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        lowered = [cell.lower() for cell in cells]
        if "t/s" in lowered or "s_tg t/s" in lowered:
            heads = lowered
            continue
        if len(cells) != len(heads):
            continue
        row = dict(zip(heads, cells, strict=True))
        if "test" in row and (rate := _rate(row.get("t/s"))) is not None:
            if re.fullmatch(r"tg\d+", row["test"]):
                decode = decode or rate
            elif re.fullmatch(r"pp\d+", row["test"]):
                prefill = prefill or rate
        elif (
            row.get("b", "").isdigit() and 0 < int(row["b"]) <= 64 and (rate := _rate(row.get("s_tg t/s"))) is not None
        ):
            at[int(row["b"])] = rate
            prefill = prefill or _rate(row.get("s_pp t/s"))
    return Given(decode or at.pop(1, None), MappingProxyType({n: rate for n, rate in at.items() if n > 1}), prefill)


def _rate(value: object) -> float | None:
    if isinstance(value, str) and (cell := _CELL.match(value)):
        value = float(cell[1])
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0.01 < value < 1e7
    return float(value) if good and isinstance(value, int | float) else None
