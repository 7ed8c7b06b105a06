"""Rows of calls as traces: a job each; of a conversation that only its first row gives a time for, one job of all."""

from __future__ import annotations

from harness.imports.account import ImportLoss
from harness.imports.arrivals import MAX_JOBS
from harness.imports.rows import CHARACTERS_A_TOKEN, CallRow
from harness.imports.spans import SpansFound
from harness.imports.steps import Trace, TraceStep, Troubles

__all__ = ["RowTraces"]

_TOO_MANY = f"in rows beyond the first {MAX_JOBS:,}, the most jobs that a file may have"
_FAILED = "in rows without an answer: these calls failed"
_SECOND_NS = 1_000_000_000


class RowTraces:
    """The rows of one file."""

    def __init__(self, troubles: Troubles, found: SpansFound) -> None:
        self._troubles, self._found = troubles, found
        self._traces: list[Trace] = []
        self._sessions: dict[str, list[CallRow]] = {}
        self._untimed = self._guessed_texts = 0
        self._guessed_unit = False

    def add(self, row: CallRow) -> None:
        """Add a row."""
        amounts = (1, row.input_tokens or 0, row.output_tokens or 0)
        if row.failed or (row.output_tokens == 0 and row.input_tokens is not None):
            self._troubles.lose(ImportLoss(_FAILED, *amounts))
            return
        if len(self._traces) + len(self._sessions) >= MAX_JOBS:
            self._troubles.lose(ImportLoss(_TOO_MANY, *amounts))
            return
        self._guessed_unit = self._guessed_unit or row.guessed_unit
        self._guessed_texts += row.guessed_input
        if row.session and (row.session in self._sessions or row.delay_ns is not None or row.start_ns is None):
            self._sessions.setdefault(row.session, []).append(row)
        elif row.session and row.form.endswith("AIPerf replays them"):
            self._sessions[row.session] = [row]
        else:
            self._untimed += row.start_ns is None
            self._traces.append(_trace([row], self._found.resource({})))

    def traces(self) -> list[Trace]:
        """Return all of them; what the file leaves open is then among `asks`."""
        resource = self._found.resource({})
        for rows in self._sessions.values():
            if len(rows) > 1 and all(row.start_ns is not None and row.delay_ns is None for row in rows):
                self._traces += [_trace([row], resource) for row in rows]
            else:
                self._untimed += rows[0].start_ns is None
                self._traces.append(_trace(rows, resource))
        asks = self._found.asks
        if self._guessed_unit:
            text = "in which unit are the times of the rows? If it is another one, import again with --times ms"
            asks.append((text, "seconds"))
        if self._untimed:
            asks.append(("when do the jobs arrive? Rows tell no times", "all at once"))
        if self._guessed_texts:
            text = f"how many tokens have the prompts? {self._guessed_texts} rows have only their texts"
            asks.append((text, f"{CHARACTERS_A_TOKEN} characters a token"))
        return self._traces


def _trace(rows: list[CallRow], resource: int) -> Trace:
    """Return calls one after the other; one whose length is not told takes a second where others follow it."""
    steps: list[TraceStep] = []
    at_s = 0.0
    for row in rows:
        if steps and row.delay_ns:
            steps.append(TraceStep(("tool", "pause", ""), at_s, at_s + row.delay_ns / 1e9, False))
            at_s += row.delay_ns / 1e9
        lasted_s = row.lasted_ns / 1e9 or (1.0 if len(rows) > 1 else 0.0)
        label = ("agent", row.model or "call", "")
        steps.append(TraceStep(label, at_s, at_s + lasted_s, False, row.model, row.input_tokens, row.output_tokens))
        at_s += lasted_s
    start_ns = rows[0].start_ns or 0
    lasted_ns = round(at_s * _SECOND_NS) if len(rows) > 1 or rows[0].lasted_ns else 0
    return Trace("", start_ns, start_ns + lasted_ns, rows[0].session if len(rows) == 1 else "", resource, tuple(steps))
