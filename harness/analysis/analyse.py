"""One run in, one analysis out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.analysis.ladder import ladders_of
from harness.analysis.measures import index_records, pinned_tokens, summarise
from harness.analysis.model import ANALYSIS_VERSION, Analysis, PathVerdict, RunHead
from harness.analysis.notices import notices_of
from harness.analysis.rungs import rungs_text
from harness.analysis.verdict import decide, simplicity
from harness.runs.model import Run
from harness.workload.schema import Workload

__all__ = ["analyse"]


def analyse(run: Run, folder: Path | None = None) -> Analysis:
    """Analyse a run, complete or not: the same tree for a measured, an emulated and a predicted one.

    Args:
        folder: where it lies; a run in which something is missing says then what to type.
    """
    index = index_records(run)
    candidates = summarise(run, index)
    ladders = ladders_of(run, pinned_tokens(run))
    paths, choice = decide(candidates, run.origin, {} if ladders else _alternatives(run.workload))
    if ladders and (gains := rungs_text(candidates, simplicity)):
        choice = choice._replace(sentences=(*choice.sentences, gains))
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
        machine=tuple((key, _scalar(value)) for key, value in run.machine.items()),
        servers=run.servers,
        options=tuple((key, _shown(value)) for key, value in run.options.items()),
        command=run.command,
        control=run.workload.control,
        work=tuple(run.work.items()),
    )
    return Analysis(
        ANALYSIS_VERSION,
        head,
        notices_of(run, candidates, repeats, index, folder),
        paths,
        choice,
        candidates,
        ladders,
        (*_method(paths), *_resampling(run)),
    )


def _alternatives(workload: Workload) -> dict[str, str]:
    """Return, for pipelines that come after another one with the same jobs, that one: two ways to do the same."""
    found = {}
    for name, spec in workload.pipelines.items():
        before = workload.pipelines.get(spec.after or "")
        if spec.after and before and (before.jobs, before.arrival) == (spec.jobs, spec.arrival):
            found[name] = spec.after
    return found


def _scalar(value: Any) -> str | int | float:
    if isinstance(value, dict):  # versions of packages
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return value if isinstance(value, (str, int, float)) else str(value)


def _method(paths: Sequence[PathVerdict]) -> tuple[str, ...]:
    method = [
        "The repeat is the unit: per repeat the median over jobs; over repeats geometric means with 95 % t intervals "
        "on logarithms; candidates are compared by a paired t on log ratios, on the same draws.",
        "Equal within 5 % means that the whole interval of the ratio lies between 0.95 and 1.05.",
    ]
    most = max((c.comparisons for verdict in paths for c in verdict.comparisons if c.low is not None), default=0)
    if most > 1:
        method.append(
            f"{most} candidates are compared with the fastest of a path, so each interval is widened to "
            f"{100 * (1 - 0.05 / most):.1f} % (Bonferroni)."
        )
    return tuple(method)


def _resampling(run: Run) -> tuple[str, ...]:
    if run.resampled is None or not run.resampled.factors:
        return ()
    return (
        "The profile's interval goes by how each figure changes, on the same draws, when the profile is replaced by "
        f"one as it might have come out ({run.resampled.source}); a difference between candidates counts where it is "
        "larger than both intervals of their ratio together.",
    )


def _shown(value: object) -> str:
    """Write an option as it was typed."""
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
