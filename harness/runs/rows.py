"""The calls of a run as flat rows: what tables, data frames and JSON Lines are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from harness.core.records import CallRecord, Reply
from harness.runs.model import Run
from harness.units import safe_text

__all__ = ["COLUMNS", "call_rows"]

_DERIVED = ("router_wait_s", "throttle_wait_s", "wall_s", "client_s", "residual_s", "decode_tokens_per_s")
COLUMNS = (*(name for name in CallRecord._fields if name != "reply"), *Reply._fields, *_DERIVED, "in_complete_trial")


def call_rows(run: Run, candidates: Iterable[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for each call: its record's fields, what follows from them, and whether its trial was complete.

    Seconds and tokens; None is not known. Calls of interrupted trials are excluded from all figures of the report.
    """
    wanted = set(run.candidates if candidates is None else candidates)
    complete = {(trial.candidate, trial.repeat) for trial in run.trials if trial.complete}
    for call in run.calls:
        if call.candidate in wanted:
            row = call.to_json()
            if row["error"] is not None:
                row["error"] = safe_text(row["error"])
            for name in _DERIVED:
                row[name] = getattr(call, name)
            row["in_complete_trial"] = (call.candidate, call.repeat) in complete
            yield row
