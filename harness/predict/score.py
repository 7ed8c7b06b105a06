"""Predicted against measured: the error of every figure of every candidate, beside the noise of the measurement."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from harness.analysis.model import Analysis, CandidateSummary, PipelineSummary
from harness.analysis.statistics import Estimate
from harness.core.events import Call
from harness.core.graph import Pipeline
from harness.core.records import CallRecord
from harness.drivers.modelled import Tokens
from harness.predict.forecast import TokensOf
from harness.runs.model import Run

__all__ = ["TIMES", "Score", "ScoreRow", "replay", "score"]


Seen = tuple[int, int, int]  # prompt tokens, output tokens, thinking tokens in these


class ScoreRow(NamedTuple):
    """One figure of one candidate. Seconds, or tokens per second."""

    candidate: str
    pipeline: str  # "" for the whole candidate
    figure: str
    predicted: float
    measured: float
    noise: float | None  # half the width of the measurement's 95 % interval, relative; None: one repeat

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1


TIMES = ("pipeline time", "reply p50")  # figures that are the time of a job
_SAME = 1.2  # times between them: factors that are one
_OFF = 1.1  # that one is no noise


class Score(NamedTuple):
    """All rows, and what they come to."""

    rows: tuple[ScoreRow, ...]
    ratio_errors: tuple[tuple[str, str, str, float], ...]  # pipeline, candidate, against; error of their ratio

    def errors(self, figure: str) -> list[float]:
        """Return the absolute errors of one figure over all candidates, rising."""
        return sorted(abs(row.error) for row in self.rows if row.figure == figure)

    @property
    def pace(self) -> float | None:
        """How many times as fast the machine was as its profile says, where that alone explains the errors; else None.

        The geometric mean of predicted over measured of at least three times that hardly differ in it.
        """
        factors = [row.predicted / row.measured for row in self.rows if row.figure in TIMES]
        if len(factors) < 3 or max(factors) > _SAME * min(factors):
            return None
        mean = math.exp(math.fsum(map(math.log, factors)) / len(factors))
        return mean if max(mean, 1 / mean) > _OFF else None


def replay(run: Run, pipelines: tuple[Pipeline, ...]) -> TokensOf:
    """Return the token counts that a measured run observed: this scores the model and not the guess of lengths.

    A call that was not made in the measured trial (a closed loop went round more often) takes the medians of its node.
    """
    exact: dict[tuple[str, int, str, int, str, int, int], Seen] = {}
    of_node: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for call in run.calls:
        prompt, output = call.reply.prompt_tokens, call.reply.output_tokens
        if call.embeds:
            output = 1
        if call.outcome == "ok" and prompt and output:
            key = (call.candidate, call.repeat, call.pipeline, call.job, call.node, call.item, call.iteration)
            seen = exact[key] = (prompt, output, call.reply.thinking_tokens or 0)
            of_node[call.pipeline, call.node].append(seen)
    usual: dict[tuple[str, str], Seen] = {
        key: (round(median(s[0] for s in seen)), round(median(s[1] for s in seen)), round(median(s[2] for s in seen)))
        for key, seen in of_node.items()
    }

    def of_trial(candidate: str, repeat: int) -> Tokens:
        def tokens(call: Call) -> Seen:
            pipeline = pipelines[call.pipeline]
            node = pipeline.graph.nodes[call.node]
            found = exact.get((candidate, repeat, pipeline.name, call.job, node.name, call.item, call.iteration))
            return found or usual.get((pipeline.name, node.name)) or _guess(node.expected_prompt_tokens)

        return tokens

    return of_trial


def _guess(prompt_tokens: int | None) -> Seen:
    return prompt_tokens or 1, 1, 0


def score(measured: Analysis, predicted: Analysis, measured_run: Run, predicted_run: Run) -> Score:
    """Join two analyses of one workload."""
    by_name = {candidate.name: candidate for candidate in predicted.candidates}
    waits = _queue_waits(measured_run.calls), _queue_waits(predicted_run.calls)
    rows: list[ScoreRow] = []
    for mine in measured.candidates:
        theirs = by_name.get(mine.name)
        if theirs is None:
            continue
        rows += _row(mine.name, "", "throughput", theirs.throughput, mine.throughput)
        if mine.name in waits[0] and mine.name in waits[1] and waits[0][mine.name] > 0:
            rows.append(ScoreRow(mine.name, "", "queue wait", waits[1][mine.name], waits[0][mine.name], None))
        for pipeline in mine.pipelines:
            other = next((p for p in theirs.pipelines if p.pipeline == pipeline.pipeline), None)
            if other is not None:
                rows += _pipeline_rows(mine.name, pipeline, other)
    return Score(tuple(rows), tuple(_ratio_errors(measured.candidates, by_name)))


def _pipeline_rows(candidate: str, mine: PipelineSummary, theirs: PipelineSummary) -> Iterator[ScoreRow]:
    figure = "pipeline time" if mine.path == "batch" else "reply p50"
    for name, predicted, measured in (
        (figure, theirs.time, mine.time),
        ("first token", theirs.first_token, mine.first_token),
        ("first thought", theirs.first_thought, mine.first_thought),
    ):
        yield from _row(candidate, mine.pipeline, name, predicted, measured)
    if mine.p95_s and theirs.p95_s:
        yield ScoreRow(candidate, mine.pipeline, "reply p95", theirs.p95_s, mine.p95_s, None)


def _row(
    candidate: str, pipeline: str, figure: str, predicted: Estimate | None, measured: Estimate | None
) -> list[ScoreRow]:
    if predicted is None or measured is None:
        return []
    noise = None
    if measured.low is not None and measured.high is not None:
        noise = math.sqrt(measured.high / measured.low) - 1
    return [ScoreRow(candidate, pipeline, figure, predicted.value, measured.value, noise)]


def _queue_waits(calls: Sequence[CallRecord]) -> dict[str, float]:
    """Mean wait of a call before its prompt was looked at, in the router and in the server, by candidate.

    The server's part is its total less load, prefill and decode: a front ends its queue where a slot is granted, the
    server model where the prompt begins, and this is the same on both.
    """
    waits: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        if call.outcome == "ok" and call.router_wait_s is not None and call.residual_s is not None:
            waits[call.candidate].append(call.router_wait_s + call.residual_s)
    return {candidate: math.fsum(values) / len(values) for candidate, values in waits.items()}


def _ratio_errors(
    measured: tuple[CandidateSummary, ...], predicted: dict[str, CandidateSummary]
) -> Iterator[tuple[str, str, str, float]]:
    """Errors of the ratios between candidates: what drifts on a machine cancels in them."""
    both = [candidate for candidate in measured if candidate.name in predicted]
    for other in both[1:]:
        base = both[0]
        for mine, reference in zip(other.pipelines, base.pipelines, strict=True):
            theirs = {p.pipeline: p for p in predicted[other.name].pipelines}.get(mine.pipeline)
            theirs_base = {p.pipeline: p for p in predicted[base.name].pipelines}.get(mine.pipeline)
            if mine.time and reference.time and theirs and theirs.time and theirs_base and theirs_base.time:
                ratio = mine.time.value / reference.time.value
                guess = theirs.time.value / theirs_base.time.value
                yield mine.pipeline, other.name, base.name, guess / ratio - 1
