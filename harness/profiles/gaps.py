"""What steps cost, from the times between the tokens of streamed calls.

While nobody comes, ends or reads a prompt, the time between two tokens of a call is one step. Which slots are busy says
which passes it has (`harness.core.passes`): one for each run of consecutive slots. So the medians by runs tell what a
pass costs by its sequences, and what one costs more that is not like the one before. Medians, because a hiccup of the
client, or of the machine, is no step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from harness.profiles.solve import Vector

__all__ = ["Gap", "Steps", "contradicted", "explained", "runs_of", "steps_of"]

LEAST = 20  # gaps of one kind, to be told from chance
AGREES = 0.2  # relative: two kinds of steps lie further apart, and noise does not reach so far
SEVERAL = 2  # sequences: with more than one, a pass of another shape costs more by the same


class Gap(NamedTuple):
    """The time between two tokens of a call."""

    burst: int
    runs: tuple[int, ...]  # how many consecutive slots are busy, run by run
    gap_s: float


class Steps(NamedTuple):
    """`step_s.n` and `changed_s.n` in seconds, with standard errors, and under resampled calibrations."""

    values: Mapping[str, float]
    errors: Mapping[str, float]
    replicates: Mapping[str, tuple[float, ...]]


def runs_of(slots: Sequence[int]) -> tuple[int, ...]:
    """Return how long the runs of consecutive numbers are, the shortest first."""
    ordered = sorted(slots)
    runs = [1] if ordered else []
    for before, slot in pairwise(ordered):
        if slot == before + 1:
            runs[-1] += 1
        else:
            runs.append(1)
    return tuple(sorted(runs))


def steps_of(gaps: Sequence[Gap], resample: Vector) -> Steps:
    """Find what steps cost.

    Args:
        gaps: of one slot setting.
        resample: weights of the bursts (columns) in each resampled calibration (rows).

    Raises:
        ValueError: there are too few gaps of a lone call.
    """
    kinds: dict[tuple[int, ...], list[Gap]] = defaultdict(list)
    for gap in gaps:
        kinds[gap.runs].append(gap)
    known = {runs: those for runs, those in kinds.items() if len(those) >= LEAST}
    if (1,) not in known:
        raise ValueError(f"there are fewer than {LEAST} times between tokens of a call by itself")
    values = _solve(known, np.ones(resample.shape[1]))
    drawn = [_solve(known, row) for row in resample]
    replicates = {name: tuple(one[name] for one in drawn) for name in values}
    errors = {name: float(np.std(found, ddof=1)) for name, found in replicates.items()}
    return Steps(values, errors, replicates)


def explained(gaps: Sequence[Gap], steps: Steps) -> float:
    """Return the share of the gaps that lie within `AGREES` of what their slots let expect."""
    expected = [(gap.gap_s, _expected_s(gap.runs, steps)) for gap in gaps]
    return sum(abs(gap_s / middle_s - 1) <= AGREES for gap_s, middle_s in expected) / max(1, len(gaps))


def contradicted(gaps: Sequence[Gap], steps: Steps) -> frozenset[int]:
    """Return the bursts whose steps were not those of the slots that their calls are taken to have been in.

    Which of several calls that came at one instant got which slot is chance, and so it is then who leaves first: now
    and then the rule that tells slots from times is wrong, until all slots are filled at once again.
    """
    by_burst: dict[tuple[int, tuple[int, ...]], list[float]] = defaultdict(list)
    for gap in gaps:
        by_burst[gap.burst, gap.runs].append(gap.gap_s)
    return frozenset(
        burst
        for (burst, runs), those in by_burst.items()
        if len(those) >= LEAST and abs(float(np.median(those)) / _expected_s(runs, steps) - 1) > AGREES
    )


def _expected_s(runs: tuple[int, ...], steps: Steps) -> float:
    known = sorted(int(name.partition(".")[2]) for name in steps.values if name.startswith("step_s."))
    times = [steps.values[f"step_s.{n}"] for n in known]
    expected_s = float(sum(np.interp(run, known, times) for run in runs))
    if len(runs) > 1:
        expected_s += sum(steps.values.get(f"changed_s.{min(run, SEVERAL)}", 0.0) for run in runs)
    return expected_s


def _solve(kinds: Mapping[tuple[int, ...], Sequence[Gap]], weights: Vector) -> dict[str, float]:
    """Least squares on relative errors of the medians by kind; no value is negative."""
    alone = sorted({runs[0] for runs in kinds if len(runs) == 1})
    several = [runs for runs in kinds if len(runs) > 1 and all(run in alone for run in runs)]
    names = [f"step_s.{n}" for n in alone]
    names += [f"changed_s.{n}" for n in (1, SEVERAL) if any(min(run, SEVERAL) == n for runs in several for run in runs)]
    rows, wanted = [], []
    for runs in [*((n,) for n in alone), *several]:
        row = dict.fromkeys(names, 0.0)
        for run in runs:
            row[f"step_s.{run}"] += 1
            if len(runs) > 1:
                row[f"changed_s.{min(run, SEVERAL)}"] += 1
        middle_s = _median(kinds[runs], weights)
        scale = np.sqrt(len(kinds[runs])) / middle_s
        rows.append([scale * share for share in row.values()])
        wanted.append(scale * middle_s)
    found, _ = nnls(np.array(rows), np.array(wanted))
    return {name: max(float(value), 1e-9) for name, value in zip(names, found, strict=True)}


def _median(gaps: Sequence[Gap], weights: Vector) -> float:
    ordered = sorted(gaps, key=lambda gap: gap.gap_s)
    summed = np.cumsum([weights[gap.burst] for gap in ordered])
    return ordered[min(int(np.searchsorted(summed, summed[-1] / 2)), len(ordered) - 1)].gap_s
