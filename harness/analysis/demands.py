"""What somebody demands of a run: `chat.p95_s<2` holds or not, by the figures of summary.json.

An expression says what must hold, as a goal does. So that nobody reads one the other way round, a time cannot be
demanded to be long, nor a throughput to be low: such an expression is refused before anything is measured.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from statistics import median
from typing import Literal, NamedTuple

from harness.analysis.model import Analysis, CandidateSummary, PipelineSummary
from harness.analysis.statistics import P95_NEEDS, Estimate
from harness.errors import UserError, did_you_mean

__all__ = ["FIGURES", "Demand", "Judgement", "check_demand", "check_jobs", "judge", "read_demand", "repeats_for_p95"]

_NAME = "[A-Za-z][A-Za-z0-9_-]{0,62}"
_FORM = re.compile(
    rf"(?:(?P<candidate>{_NAME}):)?(?:(?P<pipeline>{_NAME})\.)?(?P<figure>{_NAME})"
    r"\s*(?P<sign><=|>=|<|>)\s*(?P<limit>\d{1,15}(?:\.\d{1,15})?)"
)
_LOOKS_LIKE = re.compile(r"[<>=]")
_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class FigureKind(NamedTuple):
    """One figure that can be demanded."""

    unit: str
    less: bool  # less of it is better
    where: str  # in summary.json
    value: Callable[
        [CandidateSummary, PipelineSummary], float | None
    ]  # the second counts for a pipeline's figures alone


def _value(found: Estimate | None) -> float | None:
    return None if found is None else found.value


def _p50_s(pipeline: PipelineSummary) -> float | None:
    values = [value for _, value in pipeline.time_by_repeat]
    return median(values) if values else None


# By name: those of a pipeline, and those of a candidate as a whole.
FIGURES: Mapping[str, FigureKind] = {
    "p50_s": FigureKind("s", True, "the median of time_by_repeat", lambda c, p: _p50_s(p)),
    "p95_s": FigureKind("s", True, "p95_s", lambda c, p: p.p95_s),
    "time_s": FigureKind("s", True, "time.value", lambda c, p: _value(p.time)),
    "first_token_s": FigureKind("s", True, "first_token.value", lambda c, p: _value(p.first_token)),
    "all_done_s": FigureKind("s", True, "all_done.value", lambda c, p: _value(p.all_done)),
    "jobs_failed": FigureKind("", True, "jobs_failed", lambda c, p: p.jobs_failed),
    "calls_failed": FigureKind("", True, "calls_failed", lambda c, p: p.calls_failed),
}
OF_CANDIDATES: Mapping[str, FigureKind] = {
    "makespan_s": FigureKind("s", True, "makespan.value", lambda c, p: _value(c.makespan)),
    "throughput_tokens_per_s": FigureKind("tokens/s", False, "throughput.value", lambda c, p: _value(c.throughput)),
    "per_request_tokens_per_s": FigureKind("tokens/s", False, "per_request.value", lambda c, p: _value(c.per_request)),
}


class Demand(NamedTuple):
    """What must hold."""

    text: str  # as it was typed
    candidate: str | None  # None: the recommended one
    pipeline: str | None  # None: the figure is one of the candidate
    figure: str
    sign: str
    limit: float  # in the figure's unit

    @property
    def measure(self) -> FigureKind:
        """What the figure is."""
        return (OF_CANDIDATES if self.pipeline is None else FIGURES)[self.figure]

    @property
    def name(self) -> str:
        """The figure's whole name."""
        return self.figure if self.pipeline is None else f"{self.pipeline}.{self.figure}"


class Judgement(NamedTuple):
    """Whether a demand holds. What was not measured does not."""

    demand: Demand
    candidate: str | None  # that was judged; None: there is none
    found: float | None
    holds: bool
    why: Literal["", "no choice", "no repeat", "few values", "not known"] = ""  # there is no figure
    values: int = 0  # jobs that ended well
    repeats: int = 0  # complete ones


def read_demand(text: str) -> Demand | None:
    """Read an expression such as `chat.p95_s<2`; None where the text is none at all.

    Raises:
        UserError: it is one, and cannot be used: by its form, its figure, or because it demands what is worse.
    """
    if not _LOOKS_LIKE.search(text):
        return None
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UserError(
            f'--fail-on: expected [CANDIDATE:]PIPELINE.FIGURE<NUMBER, such as "chat.p95_s<2", found "{text}"; the '
            "expression says what must hold, and the number has the figure's unit"
        )
    demand = Demand(
        text.strip(), match["candidate"], match["pipeline"], match["figure"], match["sign"], float(match["limit"])
    )
    known = OF_CANDIDATES if demand.pipeline is None else FIGURES
    if demand.figure not in known:
        if demand.pipeline is None and demand.figure in FIGURES:
            raise UserError(f'--fail-on {text}: name the pipeline too, such as "chat.{demand.figure}"')
        if demand.pipeline is not None and demand.figure in OF_CANDIDATES:
            raise UserError(f'--fail-on {text}: {demand.figure} is of the whole candidate; leave "{match[2]}." out')
        raise UserError(
            f'--fail-on {text}: there is no figure "{demand.figure}"{did_you_mean(demand.figure, known)}; of a '
            f"pipeline there are {', '.join(FIGURES)}, of the whole {', '.join(OF_CANDIDATES)}"
        )
    if demand.measure.less != (demand.sign[0] == "<"):
        turned = demand.sign.translate(str.maketrans("<>", "><"))
        worse = "a time or a count must be below a limit" if demand.measure.less else "a rate must be above a limit"
        raise UserError(
            f'--fail-on {text}: the expression says what must hold, and {worse}; write "'
            f'{text.strip().replace(demand.sign, turned)}"'
        )
    return demand


def check_demand(demand: Demand, candidates: Collection[str], pipelines: Collection[str]) -> None:
    """Raise UserError where a demand names a candidate or a pipeline that there is not."""
    for what, name, known in (
        ("candidate", demand.candidate, candidates),
        ("pipeline", demand.pipeline, pipelines),
    ):
        if name is not None and name not in known:
            raise UserError(
                f'--fail-on {demand.text}: there is no {what} "{name}"{did_you_mean(name, known)}; there '
                f"{'is' if len(known) == 1 else 'are'} {', '.join(known)}"
            )


def repeats_for_p95(jobs: int, repeats: int) -> int:
    """Return how many repeats have as many jobs as a 95th percentile needs, where `repeats` have `jobs`."""
    return math.ceil(P95_NEEDS * repeats / jobs)


def check_jobs(demand: Demand, jobs: Mapping[str, int | None], repeats: int) -> None:
    """Raise UserError where a run cannot have the jobs that a demand needs.

    Args:
        demand: of names that there are.
        jobs: by pipeline, at most so many in a repeat; None: nobody knows yet.
        repeats: of the run.
    """
    each = jobs.get(demand.pipeline or "")
    if demand.figure == "p95_s" and each and each * repeats < P95_NEEDS:
        raise UserError(
            f"--fail-on {demand.text}: {demand.name} needs {P95_NEEDS} jobs, this run has {each * repeats}: use "
            f"--repeats {repeats_for_p95(each, 1)}"
        )


def judge(demand: Demand, analysis: Analysis) -> Judgement:
    """Hold a demand against a run, by its estimates as a reader sees them; UserError where a name is unknown."""
    check_demand(demand, analysis.by_name, [p.pipeline for p in analysis.candidates[0].pipelines])
    name = demand.candidate or analysis.choice.candidate
    if name is None:
        return Judgement(demand, None, None, False, "no choice")
    candidate = analysis.by_name[name]
    pipeline = next((p for p in candidate.pipelines if demand.pipeline in (None, p.pipeline)), None)
    if candidate.repeats == 0 or pipeline is None:
        return Judgement(demand, name, None, False, "no repeat")
    found = demand.measure.value(candidate, pipeline)
    if found is None:
        why: Literal["few values", "not known"] = "few values" if demand.figure == "p95_s" else "not known"
        return Judgement(demand, name, None, False, why, pipeline.values, candidate.repeats)
    return Judgement(demand, name, found, _HOLDS[demand.sign](found, demand.limit), values=pipeline.values)
