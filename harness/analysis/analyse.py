"""One run in, one analysis out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.analysis.beside import beside_work, slower_beside
from harness.analysis.facts import MeasuredUntil, OpenQuestion, OtherCalls
from harness.analysis.gains import gains_of
from harness.analysis.levels import levels_of
from harness.analysis.looks import least_repeats, looks_of, shares_of
from harness.analysis.measures import index_records, pinned_tokens, summarise
from harness.analysis.model import ANALYSIS_VERSION, Analysis, CandidateSummary, Choice, MachineFact, RunHead
from harness.analysis.notices import notices_of
from harness.analysis.others import touched_trials, untouched
from harness.analysis.questions import open_questions
from harness.analysis.verdict import decide
from harness.runs.model import Run
from harness.runs.writer import writer_of
from harness.workload.schema import KINDS, Workload

__all__ = ["analyse", "questions_of"]


def analyse(run: Run, folder: Path | None = None) -> Analysis:
    """Analyse a run, complete or not: the same tree for a measured, an emulated and a predicted one.

    Args:
        folder: where it lies; a run in which something is missing says then what to type, unless it still goes on.
    """
    if folder is not None and writer_of(folder) is not None:
        folder = None
    index = index_records(run)
    candidates = summarise(run, index)
    levels = levels_of(run, pinned_tokens(run))
    looks = looks_of(run)
    shares = shares_of(looks)
    alternatives = {} if levels else _alternatives(run.workload)
    beside = tuple(beside_work(run, index))
    paths, choice = decide(candidates, run.origin, alternatives, shares, slower_beside(beside))
    until = None
    if "until" in run.options:
        until = _until(run, candidates, open_questions(paths, choice, candidates, shares), folder)
    asked = run.options.get("repeats")
    repeats = until.repeats if until else asked if isinstance(asked, int) else run.workload.measure.repeats
    head = RunHead(
        name=run.name,
        workload=run.workload.name,
        description=run.workload.description,
        origin=run.origin,
        started_at=run.started_at,
        repeats=repeats,
        seed=run.workload.seed,
        machine=tuple((key, _fact(value)) for key, value in run.machine.items()),
        servers=run.servers,
        options=tuple((key, _shown(value)) for key, value in run.options.items()),
        command=run.command,
        control=run.workload.control,
        work=tuple(run.work.items()),
        missing=tuple(plan.name for plan in run.plans if plan.name not in {trial.candidate for trial in run.trials}),
        engines=tuple(dict.fromkeys(KINDS[server.kind].engine_name for server in run.servers if server.kind in KINDS)),
        standard_set=not run.workload.compare,
    )
    return Analysis(
        ANALYSIS_VERSION,
        head,
        notices_of(run, candidates, repeats, index, folder, until, _others(run, choice, levels=bool(levels)), beside),
        paths,
        choice,
        candidates,
        levels,
        gains_of(candidates, shares) if levels else None,
        run.resampled.source if run.resampled is not None and run.resampled.factors else None,
        looks,
    )


def questions_of(analysis: Analysis) -> tuple[OpenQuestion, ...]:
    """Return what the answer of an analysis depends on and is not settled."""
    return open_questions(analysis.paths, analysis.choice, analysis.candidates, shares_of(analysis.looks))


def _others(run: Run, choice: Choice, *, levels: bool) -> OtherCalls | None:
    """Say where others used the servers, and what the answer is without these trials."""
    touched = touched_trials(run)
    if not touched:
        return None
    rest = untouched(run, touched)
    index = index_records(rest)
    candidates = summarise(rest, index)
    measured = {trial.candidate for trial in run.trials}
    alternatives = {} if levels else _alternatives(run.workload)
    slower = slower_beside(beside_work(rest, index))
    _, other = decide(candidates, run.origin, alternatives, shares_of(looks_of(run)), slower)
    repeats = tuple((one.name, one.repeats) for one in candidates if one.name in measured)
    if other.candidate is None or not all(count for _, count in repeats):
        return OtherCalls(touched, len(run.trials), "none", None, repeats)
    same = other.candidate == choice.candidate
    return OtherCalls(touched, len(run.trials), "same" if same else "other", other.candidate, repeats)


def _until(
    run: Run, candidates: Sequence[CandidateSummary], found: tuple[OpenQuestion, ...], folder: Path | None
) -> MeasuredUntil:
    """Say how far a run came that was to go on until every question is settled."""
    repeats, looks = least_repeats(run), looks_of(run)
    once_s = sum(candidate.makespan.value for candidate in candidates if candidate.makespan)
    needed = [question.needed for question in found]
    known = [n for n in needed if n is not None]
    more_s = once_s * (max(known) - repeats) if known and len(known) == len(needed) and once_s else None
    at_most = run.options.get("at_most")
    resume = str(folder) if folder is not None and run.file else None
    return MeasuredUntil(
        repeats, looks, found, more_s, run.partial, at_most if isinstance(at_most, str) else "", resume
    )


def _alternatives(workload: Workload) -> dict[str, str]:
    """Return, for pipelines that come after another one with the same jobs, that one: two ways to do the same."""
    found = {}
    for name, spec in workload.pipelines.items():
        before = workload.pipelines.get(spec.after or "")
        if spec.after and before and (before.jobs, before.arrival) == (spec.jobs, spec.arrival):
            found[name] = spec.after
    return found


def _fact(value: Any) -> MachineFact:
    if isinstance(value, dict):  # versions of packages
        return tuple((str(key), str(item)) for key, item in value.items())
    return value if isinstance(value, (str, int, float)) else str(value)


def _shown(value: object) -> str:
    """Write an option as it was typed."""
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
