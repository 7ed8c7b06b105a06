"""summary.json: the analysis as plain data, raw numbers and all. docs/reports.md describes it."""

from __future__ import annotations

import json
import math
from typing import Any

from harness.analysis.ladder import Ladder
from harness.analysis.model import Analysis

__all__ = ["SUMMARY_VERSION", "summary", "summary_text", "to_plain"]

SUMMARY_VERSION = 1


def summary(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as what `json` can write."""
    plain: dict[str, Any] = to_plain(analysis)
    del plain["version"]
    plain["run"]["machine"] = dict(analysis.run.machine)
    plain["run"]["options"] = dict(analysis.run.options)
    plain["run"]["work"] = dict(analysis.run.work)
    return {"summary_version": SUMMARY_VERSION, **plain}


def summary_text(analysis: Analysis) -> str:
    """Return summary.json."""
    return json.dumps(summary(analysis), indent=2, allow_nan=False) + "\n"


def to_plain(value: Analysis | Ladder | object) -> Any:
    """Turn a tree of named tuples into dicts and lists; what is not a number becomes null."""
    if isinstance(value, tuple):
        if hasattr(value, "_asdict"):
            return {name: to_plain(item) for name, item in value._asdict().items()}
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
