"""One run in, one analysis out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.analysis.gains import gains_of
from harness.analysis.levels import levels_of
from harness.analysis.measures import index_records, pinned_tokens, summarise
from harness.analysis.model import ANALYSIS_VERSION, Analysis, MachineFact, RunHead
from harness.analysis.notices import notices_of
from harness.analysis.verdict import decide
from harness.runs.model import Run
from harness.workload.schema import KINDS, Workload

__all__ = ["analyse"]


def analyse(run: Run, folder: Path | None = None) -> Analysis:
    """Analyse a run, complete or not: the same tree for a measured, an emulated and a predicted one.

    Args:
        folder: where it lies; a run in which something is missing says then what to type.
    """
    index = index_records(run)
    candidates = summarise(run, index)
    levels = levels_of(run, pinned_tokens(run))
    paths, choice = decide(candidates, run.origin, {} if levels else _alternatives(run.workload))
    asked = run.options.get("repeats")
    repeats = asked if isinstance(asked, int) else run.workload.measure.repeats
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
    )
    return Analysis(
        ANALYSIS_VERSION,
        head,
        notices_of(run, candidates, repeats, index, folder),
        paths,
        choice,
        candidates,
        levels,
        gains_of(candidates) if levels else None,
        run.resampled.source if run.resampled is not None and run.resampled.factors else None,
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
