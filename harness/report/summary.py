"""summary.json: the analysis as plain data, raw numbers, and what is said of it. See docs/reference/reports.md."""

from __future__ import annotations

import json
import math
from typing import Any

from harness.analysis.facts import Recorded
from harness.analysis.gains import gains_of
from harness.analysis.levels import Levels
from harness.analysis.model import ANALYSIS_VERSION, Analysis, Choice, PathVerdict
from harness.analysis.verdict import decide
from harness.errors import UserError
from harness.runs.older import summary_of_today
from harness.wording.run_answer import run_answer
from harness.wording.said import said
from harness.workload.schema import KINDS

__all__ = ["LARGEST_SUMMARY_BYTES", "SUMMARY_VERSION", "read_analysis", "summary", "summary_text", "to_plain"]

SUMMARY_VERSION = 2
LARGEST_SUMMARY_BYTES = 256 << 20


def summary(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as what `json` can write."""
    plain: dict[str, Any] = to_plain(analysis._replace(notices=()))
    del plain["version"]
    text = said(analysis)
    plain["notices"] = to_plain(text.notices)
    for path, sentences in zip(plain["paths"], text.paths, strict=True):
        path |= to_plain(sentences)
    plain["choice"]["sentences"] = list(text.choice)
    plain["answer"] = to_plain(run_answer(analysis))
    plain["method"] = list(text.method)
    machine = analysis.run.machine
    plain["run"]["machine"] = {key: dict(value) if isinstance(value, tuple) else value for key, value in machine}
    plain["run"]["options"] = dict(analysis.run.options)
    plain["run"]["work"] = dict(analysis.run.work)
    return {"summary_version": SUMMARY_VERSION, **plain}


def summary_text(analysis: Analysis) -> str:
    """Return summary.json."""
    return json.dumps(summary(analysis), indent=2, allow_nan=False) + "\n"


def read_analysis(text: str | bytes, name: str) -> Analysis:
    """Return the analysis that a summary.json holds, without its concurrency levels (not every number in them is one).

    Raises:
        UserError: it is none of this version; `name` says which in the message.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        plain = summary_of_today(json.loads(text))
        if not isinstance(plain, dict) or plain.get("summary_version") != SUMMARY_VERSION:
            raise UserError(f"{name}: expected a summary.json of summary_version {SUMMARY_VERSION}")
        run = {**plain["run"], **{part: list(plain["run"][part].items()) for part in ("machine", "options", "work")}}
        run["machine"] = [(key, list(fact.items()) if isinstance(fact, dict) else fact) for key, fact in run["machine"]]
        known = {name: plain[name] for name in Analysis._fields if name in plain}
        known |= {"version": ANALYSIS_VERSION, "run": run, "levels": (), "notices": ()}
        known["paths"] = [{key: path[key] for key in PathVerdict._fields if key in path} for path in plain["paths"]]
        known["choice"] = {key: plain["choice"][key] for key in Choice._fields if key in plain["choice"]}
        known["choice"]["kind"] = {"trade": "none"}.get(known["choice"]["kind"], known["choice"]["kind"])
        analysis = TypeAdapter(Analysis).validate_python(known)
        if not analysis.run.engines:  # of an older version
            kinds = (server.kind for server in analysis.run.servers)
            engines = dict.fromkeys(KINDS[kind].engine_name for kind in kinds if kind in KINDS)
            analysis = analysis._replace(run=analysis.run._replace(engines=tuple(engines)))
        if plain["choice"]["kind"] == "trade" or "alternatives" not in plain["choice"]:  # of an older version
            analysis = analysis._replace(choice=decide(analysis.candidates, analysis.run.origin)[1])
        notices = tuple(Recorded(str(notice["kind"]), str(notice["text"])) for notice in plain["notices"])
        gains = gains_of(analysis.candidates) if plain["levels"] and "gains" not in plain else analysis.gains
        return analysis._replace(notices=notices, gains=gains)
    except (ValidationError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{name}: expected a summary.json that Slotwise wrote: {_short(error)}") from None


def _short(error: Exception) -> str:
    """Return what is wrong in a line, with the first of several mistakes."""
    from pydantic import ValidationError

    from harness.workload.unfit import first_mistake

    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())[:300]
    return first_mistake(error)


def to_plain(value: Analysis | Levels | object) -> Any:
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
