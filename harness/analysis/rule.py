"""The rule that decides: which candidate for which path, and which for the whole. Runs and searches use it alike.

It knows estimates and a tie test, and nothing of where they come from: for a run the test is statistical, in a search
it is "within 5 %". Candidates and paths are numbers, their places in what was handed in; the batch path comes first.

Per path: passed over are candidates of which no job ended well, and those whose jobs failed. Where those are all of
them none is chosen: what loses jobs is no way to do the work, however fast it is with the others. Passed over are also
those with layers of a model on the CPU beside an accelerator, as long as another one has none. Of those that tie
with the fastest the simplest is chosen. Over both paths the first of these holds:

1. both choose the same (`same`);
2. some candidate is found within 5 % of the fastest on both: the simplest of these (`both`);
3. some candidate meets all goals that could be judged: of those that meet them and tie on the batch path with the
   fastest of them, the simplest (`goals`);
4. of those that can be chosen on both paths, the one whose worst slowdown against the fastest of a path is the least
   (`compromise`); of those within 5 % of that, the simplest. This is the minimax regret of L. J. Savage, "The Theory
   of Statistical Decision", Journal of the American Statistical Association 46 (1951), with ratios for differences.

Where the median over all replies hides how long the few take that come while batch jobs run, that comes before what is
simple: each half that these take longer than under the best candidate makes one less simple (`analysis.beside`).

Of equally simple candidates it is the faster one, by the product of its times on the paths that are decided, then the
one that comes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from harness.analysis.statistics import EQUIVALENCE

__all__ = ["ChoiceKind", "Decision", "Estimates", "OnPath", "Ties", "able", "decide", "on_path", "within"]

ChoiceKind = Literal["one path", "same", "both", "goals", "compromise", "none"]

# Whether a candidate ties with the fastest one on a path: (candidate, fastest, path).
Ties = Callable[[int, int, int], bool]


class Estimates(NamedTuple):
    """What is known of one candidate."""

    times_s: tuple[float | None, ...]  # by path; None: no job ended well
    failed: tuple[bool, ...]  # by path: some of its jobs failed
    meets_goals: bool | None  # all that could be judged; None: none could, or there is none
    simplicity: tuple[int, ...]  # the lower, the simpler to run
    on_cpu: bool = False  # layers of a model did not fit onto the accelerator


class OnPath(NamedTuple):
    """The answer for one path; `fastest` and `chosen` are None where every candidate is passed over."""

    able: tuple[int, ...]  # the others are passed over
    fastest: int | None
    chosen: int | None
    near: frozenset[int]  # found within 5 % of the fastest, itself included: good enough for both paths


class Decision(NamedTuple):
    """The answer for the whole; `candidate` is None where there is nothing to choose from."""

    kind: ChoiceKind
    candidate: int | None
    paths: tuple[OnPath, ...]
    fastest: int | None = None  # `goals`: the fastest on the batch path of those that meet them


def decide(candidates: Sequence[Estimates], ties: Ties) -> Decision:
    """Choose for every path that the estimates have, and for the whole."""
    every = range(len(candidates[0].times_s)) if candidates else ()
    paths = tuple(on_path(candidates, path, ties) for path in every)
    if not paths or any(path.chosen is None for path in paths):
        return Decision("none", None, paths)
    if len(paths) == 1:
        return Decision("one path", paths[0].chosen, paths)
    batch, interactive = paths
    if batch.chosen == interactive.chosen:
        return Decision("same", batch.chosen, paths)
    if both := batch.near & interactive.near:
        return Decision("both", _simplest(candidates, both, every), paths)
    meeting = [n for n in batch.able if n in interactive.able and candidates[n].meets_goals]
    if not meeting:
        return Decision("compromise", _compromise(candidates, paths), paths)
    fastest = _fastest(candidates, meeting, 0)
    tied = [n for n in meeting if n == fastest or ties(n, fastest, 0)]
    return Decision("goals", _simplest(candidates, tied, every), paths, fastest)


def on_path(candidates: Sequence[Estimates], path: int, ties: Ties) -> OnPath:
    """Choose for one path."""
    known = [candidate.times_s[path] is not None for candidate in candidates]
    there = able(known, [candidate.failed[path] for candidate in candidates], [one.on_cpu for one in candidates])
    if not there:
        return OnPath((), None, None, frozenset())
    fastest = _fastest(candidates, there, path)
    tied = [n for n in there if n == fastest or ties(n, fastest, path)]
    near = frozenset(n for n in there if within(_time_s(candidates[n], path), _time_s(candidates[fastest], path)))
    return OnPath(there, fastest, _simplest(candidates, tied, (path,)), near)


def _compromise(candidates: Sequence[Estimates], paths: Sequence[OnPath]) -> int:
    """Return the simplest of those whose worst slowdown is within 5 % of the least."""
    both = set.intersection(*(set(path.able) for path in paths))
    among = sorted(both or set.union(*(set(path.able) for path in paths)))

    def worst(n: int) -> float:
        return max(
            _time_s(candidates[n], number) / _time_s(candidates[path.fastest or 0], number)
            for number, path in enumerate(paths)
        )

    least = min(map(worst, among))
    return _simplest(candidates, [n for n in among if within(worst(n), least)], range(len(paths)))


def able(known: Sequence[bool], failed: Sequence[bool], on_cpu: Sequence[bool]) -> tuple[int, ...]:
    """Return which candidates can be chosen: with a known time, without failed jobs, and without layers on the CPU.

    Where all have layers on the CPU that rules none out.
    """
    there = tuple(n for n, time_known in enumerate(known) if time_known and not failed[n])
    return tuple(n for n in there if not on_cpu[n]) or there


def within(time_s: float, fastest_s: float) -> bool:
    """Whether a time is within 5 % of the fastest one."""
    return time_s <= EQUIVALENCE * fastest_s


def _fastest(candidates: Sequence[Estimates], among: Iterable[int], path: int) -> int:
    return min(among, key=lambda n: (_time_s(candidates[n], path), candidates[n].simplicity, n))


def _simplest(candidates: Sequence[Estimates], among: Iterable[int], paths: Sequence[int]) -> int:
    def rank(n: int) -> tuple[tuple[int, ...], float, int]:
        return candidates[n].simplicity, math.prod(_time_s(candidates[n], path) for path in paths), n

    return min(among, key=rank)


def _time_s(candidate: Estimates, path: int) -> float:
    time_s = candidate.times_s[path]
    return math.inf if time_s is None else time_s
