"""How often each workload of the gallery is measured: fixed beforehand, from the spread that a pilot found.

A pilot is a short measured run that is no part of the result. From the differences that decide the question of a
workload, paired by repeat, follows how many repeats settle it in four cases of five; one more is taken, because few
repeats say little of a spread. All candidates are measured where that fits into `ALL_S`, else the simplest one and
the fastest other one of each path, where that fits into `TWO_S`. Where no time that can be spent would settle it, these
two are measured `LEAST` times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from scipy.special import stdtrit

from harness.analysis.deciding import QueueGrowth, deciding, pays_of
from harness.analysis.model import Analysis
from harness.analysis.statistics import CONFIDENCE, Comparison, repeats_needed
from harness.analysis.verdict import decide, simplicity

__all__ = ["Fixed", "fix", "read_fixed", "write_fixed"]

ALL_S, TWO_S = 215.0, 480.0  # of measuring, for one workload: together it stays below an hour
LEAST = 4  # two have no useful interval, three a very wide one


class Fixed(NamedTuple):
    """How one workload is measured."""

    repeats: int
    only: tuple[str, ...]  # candidates; empty: all
    needed: int | None  # repeats that would settle it in four cases of five; None: no number up to 1000 would
    pilot: Mapping[str, Any]  # when, where, how often, seconds a repeat, and the spread of each deciding difference

    @property
    def needed_text(self) -> str:
        """Say how many repeats are needed; a pilot of one repeat, or without a difference, does not know it."""
        if self.needed is not None:
            return str(self.needed)
        known = self.pilot["repeats"] > 1 and self.pilot["differences"]
        return "more than 1000" if known else "not known"


def fix(pilot: Analysis, growth: QueueGrowth | None = None) -> Fixed:
    """Say how a workload is to be measured, from its pilot."""
    everyone = tuple(candidate.name for candidate in pilot.candidates)
    for names, limit_s in ((everyone, ALL_S), (_deciding_ones(pilot), TWO_S)):
        analysis = _among(pilot, names)
        needed = _needed(analysis, growth)
        repeats = LEAST if needed is None else max(LEAST, needed + 1)
        if needed is not None and repeats * _seconds(analysis) <= limit_s:
            break
    else:
        repeats = LEAST
    return Fixed(repeats, () if names == everyone else names, needed, _facts(analysis, growth))


def _deciding_ones(pilot: Analysis) -> tuple[str, ...]:
    simplest = min(pilot.candidates, key=simplicity).name
    wanted = {simplest, *(one.best.candidate for one in pays_of(pilot))}
    return tuple(candidate.name for candidate in pilot.candidates if candidate.name in wanted)


def _among(pilot: Analysis, names: tuple[str, ...]) -> Analysis:
    """Decide again among some of the candidates."""
    some = tuple(candidate for candidate in pilot.candidates if candidate.name in names)
    after = {s.comparison.candidate: s.comparison.against for v in pilot.paths for s in v.sequels}
    paths, choice = decide(some, pilot.run.origin, after)
    return pilot._replace(candidates=some, paths=paths, choice=choice)


def _needed(analysis: Analysis, growth: QueueGrowth | None) -> int | None:
    """Return how many repeats settle every deciding comparison in four cases of five."""
    found = [_spread(c) for c in deciding(analysis, growth)]
    needed = [repeats_needed(math.log(c.ratio), sd, 2, c.comparisons) for c, sd in found]
    return max((n for n in needed if n is not None), default=None) if None not in needed else None


def _spread(found: Comparison) -> tuple[Comparison, float]:
    """Return a comparison with the standard deviation of its log ratios, from its interval."""
    if found.high is None:
        return found, math.inf
    t = float(stdtrit(found.n - 1, 1 - (1 - CONFIDENCE) / found.comparisons / 2))
    return found, math.log(found.high / found.ratio) / t * math.sqrt(found.n)


def _seconds(analysis: Analysis) -> float:
    """Return how long one repeat of all candidates takes."""
    return math.fsum(candidate.makespan.value for candidate in analysis.candidates if candidate.makespan)


def _facts(analysis: Analysis, growth: QueueGrowth | None) -> dict[str, Any]:
    run = analysis.run
    machine = dict(run.machine)
    return {
        "date": run.started_at[:10],
        "machine": f"{machine.get('cpu')}, {machine.get('cores')} cores",
        "repeats": analysis.candidates[0].repeats,
        "seconds_a_repeat": round(_seconds(analysis), 1),
        "differences": {
            f"{c.candidate} against {c.against}": {
                "change_percent": round((c.ratio - 1) * 100, 1),
                "spread_percent": None if math.isinf(sd) else round(sd * 100, 1),  # None: one repeat has none
            }
            for c, sd in map(_spread, deciding(analysis, growth))
        },
    }


def write_fixed(path: Path, fixed: Mapping[str, Fixed]) -> None:
    """Write how each workload is measured."""
    head = (
        "# How often each workload of the gallery is measured. `python benchmarks/gallery.py --fix` wrote it from\n"
        "# pilot runs, before anything of the gallery was measured; the pilots are no part of the result.\n"
        "# A pilot of an earlier day is the gallery as it was before.\n"
        "# spread: standard deviation over repeats of the difference, paired by repeat, on logarithms.\n"
    )
    plain = {
        name: {
            "repeats": one.repeats,
            "only": list(one.only) or "all candidates",
            "needed": one.needed_text if one.needed is None else one.needed,
            "pilot": dict(one.pilot),
        }
        for name, one in fixed.items()
    }
    path.write_text(head + yaml.safe_dump(plain, sort_keys=False, width=120), encoding="utf-8")


def read_fixed(path: Path) -> dict[str, Fixed]:
    """Read what `write_fixed` wrote; empty where there is no such file."""
    if not path.exists():
        return {}
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        name: Fixed(
            one["repeats"],
            tuple(one["only"]) if isinstance(one["only"], list) else (),
            one["needed"] if isinstance(one["needed"], int) else None,
            one["pilot"],
        )
        for name, one in plain.items()
    }
