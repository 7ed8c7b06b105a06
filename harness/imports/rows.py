"""Rows of calls, one each: Mooncake, AIPerf, inference-perf, BurstGPT, Azure and Bailian, and what is named like them.

Units: Mooncake and AIPerf count milliseconds; BurstGPT and Bailian seconds; Azure has dates. Other numbers are read by
their name's ending (`_ms`, `_s`) or by their size, where they are instants since 1970; else somebody has to say.
Sources: Mooncake FAST25-release/traces; docs of AIPerf (trace replay, profile exports), inference-perf
(docs/reference/reports.md), HPMLL/BurstGPT, Azure/AzurePublicDataset (AzureLLMInferenceDataset2023.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.imports.spans import instant_ns
from harness.imports.usage import tokens

__all__ = ["CHARACTERS_A_TOKEN", "TIME_UNITS", "CallRow", "is_row", "row_of"]

TIME_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_TIMES = (
    "timestamp", "created_time", "arrived_at", "arrival_time", "arrival_timestamp", "start_time", "request_start_ns",
    "time", "ts", "timestamp_ms", "time_ms", "arrival_ms", "timestamp_s", "time_s", "at_s", "arrival_s", "due_s",
)  # fmt: skip
_ENDS = ("end_time", "request_end_ns")
_LASTED = ("elapsed time", "latency_s", "duration_s", "e2e_latency_s")
_INPUT = (
    "input_length", "contexttokens", "request tokens", "input_tokens", "prompt_tokens", "num_prefill_tokens",
    "input_sequence_length", "prompt_len", "input_len", "context_tokens",
)  # fmt: skip
_OUTPUT = (
    "output_length", "generatedtokens", "response tokens", "output_tokens", "completion_tokens", "num_decode_tokens",
    "output_sequence_length", "output_len", "generated_tokens",
)  # fmt: skip
_TEXTS = ("text_input", "input_text")
_SESSIONS = ("session_id", "session id", "chat_id", "conversation_id")
_DELAYS = ("delay", "delay_ms")
_FORMS: tuple[tuple[str, str, int | None], ...] = (  # a name that only it has; what it is called; nanoseconds of a unit
    ("chat_id", "rows of Bailian", TIME_UNITS["s"]),
    ("hash_ids", "rows of Mooncake", TIME_UNITS["ms"]),
    ("contexttokens", "rows of Azure's trace", None),
    ("request tokens", "rows of BurstGPT", TIME_UNITS["s"]),
    ("request_start_ns", "rows of AIPerf", TIME_UNITS["ns"]),
    ("input_length", "rows as AIPerf replays them", TIME_UNITS["ms"]),
    ("text_input", "rows as inference-perf replays them", TIME_UNITS["ms"]),
    ("info", "requests of inference-perf", TIME_UNITS["s"]),
)
CHARACTERS_A_TOKEN = 4


class CallRow(NamedTuple):
    """One call. Times are nanoseconds; None where the row does not tell."""

    form: str
    start_ns: int | None
    lasted_ns: int
    input_tokens: int | None
    output_tokens: int | None
    model: str
    session: str
    delay_ns: int | None  # after the answer to the call before, in its session
    failed: bool
    guessed_unit: bool  # nothing says in which unit `start_ns` was
    guessed_input: bool  # `input_tokens` is a guess from the length of a text


def is_row(raw: Mapping[str, Any]) -> bool:
    """Tell whether an object, or the names of columns, are those of calls with their tokens."""
    return _known(_flat(raw))


def row_of(raw: Mapping[str, Any], unit: str = "") -> CallRow | None:
    """Return what a row tells; None where it is no row of a call. `unit` is of its times, where somebody said so."""
    cells = _flat(raw)
    if not _known(cells):
        return None
    form, known_ns = next(((form, ns) for name, form, ns in _FORMS if name in cells), ("rows of calls", None))
    name = next((name for name in _TIMES if cells.get(name) not in (None, "")), "")
    at = cells.get(name)
    ending = TIME_UNITS.get(name.rpartition("_")[2])
    unit_ns = TIME_UNITS.get(unit) or (known_ns if ending is None or name == "request_start_ns" else ending)
    number = _number(at)
    since_1970 = number is not None and number > 1e8
    guessed = unit_ns is None and number is not None and not since_1970
    if unit_ns is not None and number is not None and not unit and number * unit_ns > 1e19:
        unit_ns = None  # milliseconds by the form, but nanoseconds since 1970
    start_ns = instant_ns(at if number is None else number, unit_ns or (TIME_UNITS["s"] if guessed else None))
    asked, answered = _first(cells, _INPUT), _first(cells, _OUTPUT)
    told = tokens(asked)
    text = next((cells[name] for name in _TEXTS if isinstance(cells.get(name), str)), None)
    guess = told is None and text is not None
    delays = [(cells[name], name) for name in _DELAYS if cells.get(name) not in (None, "")]
    lasted = _number(_first(cells, _LASTED))
    end_ns = instant_ns(_number(_first(cells, _ENDS)), unit_ns)
    return CallRow(
        form=form,
        start_ns=start_ns,
        lasted_ns=round(lasted * 1e9)
        if lasted is not None and 0 <= lasted < 1e6
        else max(0, (end_ns or 0) - (start_ns or 0))
        if start_ns and end_ns
        else 0,
        input_tokens=max(1, len(text or "") // CHARACTERS_A_TOKEN) if guess else told,
        output_tokens=tokens(answered),
        model=str(cells.get("model") or cells.get("model_name") or "")[:200],
        session=str(_first(cells, _SESSIONS) if _first(cells, _SESSIONS) is not None else "")[:200],
        delay_ns=instant_ns(_number(delays[0][0]), TIME_UNITS["ms"]) if delays else None,
        failed=bool(cells.get("error")),
        guessed_unit=guessed,
        guessed_input=guess,
    )


def _flat(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a row by their names in small letters, those of AIPerf and inference-perf one level up."""
    cells = {str(name).strip().lower(): value for name, value in raw.items()}
    for inner in ("metadata", "info", "metrics"):
        part = cells.get(inner)
        if isinstance(part, Mapping):
            for name, value in part.items():
                plain = value.get("value") if isinstance(value, Mapping) else value
                cells.setdefault(str(name).lower(), plain)
    return cells


def _known(cells: Mapping[str, Any]) -> bool:
    asks = any(name in cells for name in (*_INPUT, *_TEXTS))
    return asks and (any(name in cells for name in _OUTPUT) or "text_input" in cells)


def _first(cells: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((cells[name] for name in names if cells.get(name) not in (None, "")), None)


def _number(raw: Any) -> float | int | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        return raw if isinstance(raw, int) else int(raw) if isinstance(raw, str) and raw.isdigit() else float(raw)
    except (ValueError, OverflowError):
        return None
