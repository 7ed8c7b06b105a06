"""score.json in a run folder: what `slotwise score` found, so that the run's report can show it too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from harness.core.records import Origin
from harness.predict.score import Score, ScoreRow
from harness.runs.folder import write_text

__all__ = ["SavedScore", "read_score", "score_json", "write_score"]

SCORE_VERSION = 1
_LARGEST_FILE_BYTES = 16 << 20


class SavedScore(NamedTuple):
    """A score as it was written."""

    profile: str
    lengths: str  # "as observed" or "forecast"
    rows: tuple[ScoreRow, ...]
    notes: tuple[str, ...]


_SAVED = TypeAdapter(SavedScore)


def score_json(result: Score, against: Origin) -> dict[str, Any]:
    """Return a score as what `json` can write: `slotwise score --json` prints it."""
    return {
        "against": against,
        "rows": [{**row._asdict(), "error": row.error} for row in result.rows],
        "ratios": [
            {"pipeline": pipeline, "candidate": candidate, "against": other, "error": error}
            for pipeline, candidate, other, error in result.ratio_errors
        ],
    }


def write_score(folder: Path, result: Score, against: Origin, saved: SavedScore) -> None:
    """Write score.json; raises UserError where the folder cannot be written."""
    head = {"score_version": SCORE_VERSION, "profile": saved.profile, "lengths": saved.lengths, "notes": saved.notes}
    write_text(folder, "score.json", json.dumps({**head, **score_json(result, against)}, indent=2) + "\n")


def read_score(folder: Path) -> SavedScore | None:
    """Read score.json back; None where there is none, or none that can be read: a report does without."""
    path = folder / "score.json"
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            return None
        read = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(read, dict) or read.get("score_version") != SCORE_VERSION:
            return None
        rows = [{name: row[name] for name in ScoreRow._fields} for row in read["rows"]]
        saved = _SAVED.validate_python({**{name: read[name] for name in ("profile", "lengths", "notes")}, "rows": rows})
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError):
        return None
    return saved._replace(rows=tuple(row for row in saved.rows if row.measured > 0))
