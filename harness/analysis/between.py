"""Between runs: the same work, done before and after something changed. Faster, slower, equal, or not to be told?

Runs are compared by their summaries, so a summary.json that was kept is as good as the run's folder. Every candidate is
compared with itself on every path by the measure that verdicts use. Where both runs faced the same draws, repeats are
paired; where not, it is Welch's t. All intervals of a pair of runs share the error (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from harness.analysis.facts import NUMBERS_WRONG
from harness.analysis.goals import JudgedGoal
from harness.analysis.statistics import Comparison, compare, compare_unpaired
from harness.analysis.summaries import KeptCandidate, Summary, UsedServer
from harness.analysis.verdict import path_measure
from harness.core.records import PREDICTED, Origin, Path
from harness.errors import UserError
from harness.runs.changes import Changed, changes
from harness.runs.model import NOTE_KINDS

__all__ = [
    "Between",
    "BetweenNotice",
    "BetweenRow",
    "OnlyInOne",
    "OtherOrigin",
    "OwnNotice",
    "RowVerdict",
    "RunAnswer",
    "RunVerdict",
    "Unpaired",
    "UsesChanged",
    "WorkNotKnown",
    "compare_runs",
    "verdict_of",
]

# `not measured`: no trial of the candidate has finished in one of the runs.
RowVerdict = Literal[
    "faster", "slower", "equal", "not resolvable", "one repeat", "now fails", "now works", "not measured", "no data"
]  # fmt: skip
RunVerdict = Literal["regression", "improvement", "mixed", "equal", "not resolvable"]

_WRONG = NUMBERS_WRONG - {"client"} | {"partial", "interrupted", "lost", "failures"}
# Said of each run, however many say it; of the other kinds (a busy client, say) what both say is no difference.
_OF_EACH = _WRONG | set(NOTE_KINDS)


class BetweenRow(NamedTuple):
    """One figure of a candidate in both runs: its time on a path, or the first token of its replies.

    `before_s` and `now_s` are geometric means over the repeats that are compared: where repeats are paired and both
    runs have some, over those that both have, so that `now_s` / `before_s` is the ratio.
    """

    candidate: str
    path: Path
    before_s: float | None
    now_s: float | None
    comparison: Comparison | None  # now against before: below 1 it takes less time
    verdict: RowVerdict
    failed_before: int  # jobs
    failed_now: int
    figure: Literal["time", "first token"] = "time"
    repeats: tuple[int, int] = (0, 0)  # with a value: before, now

    @property
    def what(self) -> str:
        """What it is a figure of: a path, or the first token."""
        return self.path if self.figure == "time" else self.figure

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the ratio's interval; the ratio itself where it has none. Only where there is a comparison."""
        found = self.comparison
        assert found is not None
        return (found.ratio if found.low is None else found.low, found.ratio if found.high is None else found.high)


class Unpaired(NamedTuple):
    """Why repeats of two runs are no pairs: other seeds, answers that decided, or draws of which nothing is known."""

    why: Literal["seeds", "model", "draws"]
    seeds: tuple[int, int]


class WorkNotKnown(NamedTuple):
    """One of the runs is older and does not say what its work was; the workload's name is equal."""


class OtherOrigin(NamedTuple):
    """The numbers of the two runs are not of one kind."""

    before: Origin
    now: Origin


class OnlyInOne(NamedTuple):
    """Candidates that only one of the runs has; `neither`: of the workload, and both lack them."""

    run: Literal["before", "now", "neither"]
    candidates: tuple[str, ...]


class OwnNotice(NamedTuple):
    """Something that one run has to say of itself, and the other has not."""

    run: str  # as it was named
    text: str
    wrong: bool  # figures are wrong, or something lacks or failed; else a sentence of it is enough
    kind: str


BetweenNotice = WorkNotKnown | OtherOrigin | OnlyInOne | OwnNotice


class UsesChanged(NamedTuple):
    """A candidate that used other servers, or used them otherwise."""

    candidate: str
    before: tuple[UsedServer, ...]
    now: tuple[UsedServer, ...]


class RunAnswer(NamedTuple):
    """What a run recommends, and how that stands to the goals that it was judged by."""

    run: str  # as it was named
    origin: Origin
    candidates: int
    recommended: str | None  # None: nothing, or it does not say
    goals: tuple[JudgedGoal, ...]  # of what it recommends


class Between(NamedTuple):
    """One run against the one that it is held to; `harness.wording.comparisons` says it."""

    before: str  # what was named
    now: str
    unpaired: Unpaired | None  # None: paired by repeat
    notices: tuple[BetweenNotice, ...]  # what to know first
    changed: tuple[Changed | UsesChanged, ...]  # machine, versions, servers, candidates
    rows: tuple[BetweenRow, ...]  # their intervals share the error
    verdict: RunVerdict
    answers: tuple[RunAnswer, RunAnswer]  # before, now

    @property
    def missing(self) -> tuple[str, ...]:
        """Candidates that only the earlier run has."""
        gone = (one for one in self.notices if isinstance(one, OnlyInOne) and one.run == "before")
        return tuple(name for one in gone for name in one.candidates)


def compare_runs(before: Summary, now: Summary, names: tuple[str, str]) -> Between:
    """Compare two runs, named for people.

    Raises:
        UserError: they cannot be compared, and why: they did other work, have no candidate in common, or no trial of
            one has finished.
    """
    notices = _check_same_work(before, now, names)
    both = [candidate.name for candidate in before.candidates if candidate.name in {c.name for c in now.candidates}]
    if not both:
        raise UserError(
            f"{names[0]} and {names[1]} cannot be compared: they have no candidate in common ({_names(before)} there, "
            f"{_names(now)} here)"
        )
    for name, run in zip(names, (before, now), strict=True):
        if not any(candidate.repeats for candidate in run.candidates if candidate.name in both):
            raise UserError(
                f"{name} is not measured: no trial of {', '.join(both)} has finished in it, so it is neither "
                "better nor worse"
            )
    apart = _why_unpaired(before, now)
    old, new = ({candidate.name: candidate for candidate in run.candidates} for run in (before, now))
    rows = _rows([(old[name], new[name]) for name in both], apart is None, names)
    if gone := tuple(candidate.name for candidate in before.candidates if candidate.name not in new):
        notices.append(OnlyInOne("before", gone))
    if come := tuple(candidate.name for candidate in now.candidates if candidate.name not in old):
        notices.append(OnlyInOne("now", come))
    if lacking := tuple(name for name in before.run.missing if name in now.run.missing):
        notices.append(OnlyInOne("neither", lacking))
    alike = not PREDICTED & {before.run.origin, now.run.origin} or before.run.origin == now.run.origin
    notices += _own_notices(before, now, names, alike)
    return Between(
        before=names[0],
        now=names[1],
        unpaired=apart,
        notices=tuple(notices),
        changed=tuple(_changed(before, now, both, alike)),
        rows=rows,
        verdict=verdict_of(rows),
        answers=(_answer(before, names[0]), _answer(now, names[1])),
    )


def _check_same_work(before: Summary, now: Summary, names: tuple[str, str]) -> list[BetweenNotice]:
    """Raise where the work is another; return what to know where that is not known, or where numbers differ in kind."""
    notices: list[BetweenNotice] = []
    if before.run.work and now.run.work:
        parts = dict.fromkeys((*before.run.work, *now.run.work))
        differ = [part for part in parts if before.run.work.get(part) != now.run.work.get(part)]
        if differ:
            which = " and ".join(differ)
            raise UserError(
                f"{names[0]} and {names[1]} cannot be compared: they did not do the same work. "
                f'"{before.run.workload}" there and "{now.run.workload}" here differ in their {which}. '
                f"A baseline holds for one version of the {which}: make a new one, or judge this run by a limit, where "
                f"it is measured, simulated or reported: --fail-on '{_example(now)}.p95_s<2'"
            )
    elif before.run.workload != now.run.workload:
        raise UserError(
            f'{names[0]} and {names[1]} cannot be compared: "{before.run.workload}" there is another workload than '
            f'"{now.run.workload}" here'
        )
    else:
        notices.append(WorkNotKnown())
    if before.run.origin != now.run.origin:
        notices.append(OtherOrigin(before.run.origin, now.run.origin))
    return notices


def _own_notices(before: Summary, now: Summary, names: tuple[str, str], alike: bool) -> list[BetweenNotice]:
    """Return what is wrong with one of the two (figures, what it lacks, what failed), and what only it has to say."""
    found: list[BetweenNotice] = []
    for name, run, other in ((names[0], before, now), (names[1], now, before)):
        texts = {notice.text for notice in other.notices}
        kinds = {notice.kind for notice in other.notices} - _OF_EACH | {"origin"}
        for notice in run.notices:
            wrong = notice.kind in _WRONG
            if wrong or (alike and notice.kind not in kinds and notice.text not in texts):
                found.append(OwnNotice(name, notice.text, wrong, notice.kind))
    return sorted(found, key=lambda notice: not (isinstance(notice, OwnNotice) and notice.kind in NUMBERS_WRONG))


def _why_unpaired(before: Summary, now: Summary) -> Unpaired | None:
    seeds = (before.run.seed, now.run.seed)
    if before.run.seed != now.run.seed:
        return Unpaired("seeds", seeds)
    if "model" in (before.run.control, now.run.control):
        return Unpaired("model", seeds)
    if not (before.run.work and now.run.work):
        return Unpaired("draws", seeds)
    return None


def _rows(
    both: Sequence[tuple[KeptCandidate, KeptCandidate]], paired: bool, names: tuple[str, str]
) -> tuple[BetweenRow, ...]:
    """Compare candidates with themselves: on every path, and by their first tokens where both runs have some."""
    paths = [(old, new, path) for old, new in both for path in _paths(old)]
    firsts = {old.name: known for old, new in both if (known := _first_tokens(old, new))}
    comparisons = len(paths) + len(firsts)
    rows = []
    for old, new, path in paths:
        row = _row(path, old, new, _compared(_values(old, path), _values(new, path), paired, comparisons, names))
        rows.append(row)
        if path == "interactive" and old.name in firsts and row.verdict not in ("now fails", "now works"):
            first = _compared(*firsts[old.name], paired, comparisons, names)
            verdict = _said(first.comparison)
            rows.append(
                BetweenRow(
                    *(old.name, path, first.before_s, first.now_s, first.comparison, verdict, 0, 0),
                    figure="first token",
                    repeats=first.repeats,
                )
            )
    return tuple(rows)


class _Compared(NamedTuple):
    before_s: float | None
    now_s: float | None
    comparison: Comparison | None
    repeats: tuple[int, int]


def _compared(
    was: Mapping[int, float], is_: Mapping[int, float], paired: bool, comparisons: int, names: tuple[str, str]
) -> _Compared:
    found = (
        compare(names[1], is_, names[0], was, comparisons)
        if paired
        else compare_unpaired(names[1], list(is_.values()), names[0], list(was.values()), comparisons)
    )
    common = was.keys() & is_.keys() if paired else frozenset[int]()
    before_s, now_s = (_mean({n: side[n] for n in common or side}) for side in (was, is_))
    return _Compared(before_s, now_s, found, (len(was), len(is_)))


def _row(path: Path, old: KeptCandidate, new: KeptCandidate, found: _Compared) -> BetweenRow:
    was, is_ = found.repeats
    failed = (_failed(old, path), _failed(new, path))
    verdict: RowVerdict
    if not (old.repeats and new.repeats):
        verdict = "not measured"
    elif (failed[1] and not failed[0]) or (was and not is_):
        verdict = "now fails"
    elif (failed[0] and not failed[1]) or (is_ and not was):
        verdict = "now works"
    else:
        verdict = _said(found.comparison)
    return BetweenRow(
        old.name, path, found.before_s, found.now_s, found.comparison, verdict, *failed, repeats=found.repeats
    )


def _said(found: Comparison | None) -> RowVerdict:
    if found is None:
        return "no data"
    return "one repeat" if found.n < 2 else _SAID[found.relation]


_SAID: Mapping[str, RowVerdict] = {
    "better": "faster",
    "worse": "slower",
    "equivalent": "equal",
    "unresolved": "not resolvable",
}


def _values(candidate: KeptCandidate, path: Path) -> dict[int, float]:
    return path_measure([dict(summary.time_by_repeat) for summary in candidate.pipelines if summary.path == path])


def _first_tokens(old: KeptCandidate, new: KeptCandidate) -> tuple[dict[int, float], dict[int, float]] | None:
    """Return the first tokens of the pipelines of which both runs know some, by repeat; None where there are none."""
    later = {summary.pipeline: dict(summary.first_token_by_repeat) for summary in new.pipelines}
    pairs = [(dict(one.first_token_by_repeat), later.get(one.pipeline, {})) for one in old.pipelines]
    known = [pair for pair in pairs if all(side and min(side.values()) > 0 for side in pair)]
    return (path_measure([was for was, _ in known]), path_measure([is_ for _, is_ in known])) if known else None


def _failed(candidate: KeptCandidate, path: Path) -> int:
    return sum(summary.jobs_failed for summary in candidate.pipelines if summary.path == path)


def _paths(candidate: KeptCandidate) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(summary.path for summary in candidate.pipelines))


def _mean(values: Mapping[int, float]) -> float | None:
    return math.exp(math.fsum(map(math.log, values.values())) / len(values)) if values else None


def verdict_of(rows: Sequence[BetweenRow]) -> RunVerdict:
    """Return the verdict on rows of one comparison, or of several.

    A first token that became faster or slower counts; one that is not decided leaves open nothing but itself.
    """
    found = {row.verdict for row in rows if row.figure == "time" or row.verdict in ("slower", "faster")}
    worse, better = found & {"slower", "now fails"}, found & {"faster", "now works"}
    if worse:
        return "mixed" if better else "regression"
    if better:
        return "improvement"
    return "equal" if found == {"equal"} else "not resolvable"


def _changed(before: Summary, now: Summary, both: Sequence[str], alike: bool) -> Iterator[Changed | UsesChanged]:
    """Yield what is different; of a prediction and a measurement not what only one of them can have."""
    if alike:
        yield from changes(before.run.machine, now.run.machine)
        old = {server.name: server.model_dump(exclude={"name"}) for server in before.run.servers}
        for server in now.run.servers:
            if server.name in old:
                for change in changes(old[server.name], server.model_dump(exclude={"name"})):
                    yield change._replace(server=server.name)
    if before.run.seed != now.run.seed:
        yield Changed("seed", before.run.seed, now.run.seed)
    if before.run.repeats != now.run.repeats:
        yield Changed("repeats", before.run.repeats, now.run.repeats)
    uses = [{candidate.name: candidate.servers for candidate in run.candidates} for run in (before, now)]
    for name in both:
        if uses[0][name] != uses[1][name]:
            yield UsesChanged(name, uses[0][name], uses[1][name])


def _answer(run: Summary, name: str) -> RunAnswer:
    found = run.recommended
    goals = () if found is None else tuple(one for summary in found.pipelines for one in summary.judgements)
    return RunAnswer(name, run.run.origin, len(run.candidates), None if found is None else found.name, goals)


def _example(run: Summary) -> str:
    """Return a pipeline of a run, for an example: an interactive one where there is one."""
    pipelines = [pipeline for candidate in run.candidates for pipeline in candidate.pipelines]
    return next((one.pipeline for one in pipelines if one.path == "interactive"), "chat")


def _names(run: Summary) -> str:
    return ", ".join(candidate.name for candidate in run.candidates) or "none"
