"""Between runs: the same work, done before and after something changed. Faster, slower, equal, or not to be told?

Runs are compared by their summaries, so a summary.json that was kept is as good as the run's folder. Every candidate is
compared with itself on every path by the measure that verdicts use. Where both runs faced the same draws, repeats are
paired; where not, it is Welch's t. All intervals of a pair of runs share the error (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.analysis.statistics import Comparison, compare, compare_unpaired
from harness.analysis.verdict import path_measure
from harness.core.records import PREDICTED, Origin, Path
from harness.errors import UserError
from harness.runs.changes import Changed, changes
from harness.runs.model import NOTE_KINDS
from harness.runs.older import summary_of_today
from harness.workload.unfit import first_mistake

__all__ = [
    "Between",
    "BetweenNotice",
    "BetweenRow",
    "OnlyInOne",
    "OtherOrigin",
    "OwnNotice",
    "RowVerdict",
    "RunVerdict",
    "Summary",
    "Unpaired",
    "UsedServer",
    "UsesChanged",
    "WorkNotKnown",
    "compare_runs",
    "read_summary",
    "verdict_of",
]

# `not measured`: no trial of the candidate has finished in one of the runs.
RowVerdict = Literal[
    "faster", "slower", "equal", "not resolvable", "one repeat", "now fails", "now works", "not measured", "no data"
]  # fmt: skip
RunVerdict = Literal["regression", "improvement", "mixed", "equal", "not resolvable"]

_WRONG = frozenset(("partial", "interrupted", "lost", "failures", "layers"))
# Said of each run, however many say it; of the other kinds (a busy client, say) what both say is no difference.
_OF_EACH = _WRONG | set(NOTE_KINDS)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Pipeline(_Part):
    pipeline: str
    path: Path
    time_by_repeat: tuple[tuple[int, float], ...]
    jobs_failed: int


class UsedServer(_Part):
    """How a candidate used a server, as a summary.json has it."""

    server: str
    slots: int
    concurrency: str
    scheduling: str
    limit: int | None


class _Candidate(_Part):
    name: str
    repeats: int = 1  # complete ones
    servers: tuple[UsedServer, ...]
    pipelines: tuple[_Pipeline, ...]


class _Server(_Part):
    name: str
    kind: str
    model: str
    version: str
    slots_found: int | None
    details: Mapping[str, str | int | float]


class _Head(_Part):
    workload: str
    origin: Origin
    started_at: str
    repeats: int
    seed: int
    machine: Mapping[str, Any]
    servers: tuple[_Server, ...]
    control: Literal["draws", "model"] = "draws"
    work: Mapping[str, str] = {}
    missing: tuple[str, ...] = ()


class _Notice(_Part):
    kind: str
    text: str


class Summary(_Part):
    """What a comparison needs of a summary.json."""

    summary_version: Literal[2]
    run: _Head
    notices: tuple[_Notice, ...] = ()
    candidates: tuple[_Candidate, ...]


class BetweenRow(NamedTuple):
    """One candidate on one path in both runs.

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
    wrong: bool  # something lacks or failed; else a sentence of it is enough


BetweenNotice = WorkNotKnown | OtherOrigin | OnlyInOne | OwnNotice


class UsesChanged(NamedTuple):
    """A candidate that used other servers, or used them otherwise."""

    candidate: str
    before: tuple[UsedServer, ...]
    now: tuple[UsedServer, ...]


class Between(NamedTuple):
    """One run against the one that it is held to; `harness.wording.comparisons` says it."""

    before: str  # what was named
    now: str
    unpaired: Unpaired | None  # None: paired by repeat
    notices: tuple[BetweenNotice, ...]  # what to know first
    changed: tuple[Changed | UsesChanged, ...]  # machine, versions, servers, candidates
    rows: tuple[BetweenRow, ...]  # their intervals share the error
    verdict: RunVerdict

    @property
    def missing(self) -> tuple[str, ...]:
        """Candidates that only the earlier run has."""
        gone = (one for one in self.notices if isinstance(one, OnlyInOne) and one.run == "before")
        return tuple(name for one in gone for name in one.candidates)


def read_summary(plain: object, name: str) -> Summary:
    """Return what a comparison needs; UserError where `plain` is no summary."""
    try:
        return Summary.model_validate(summary_of_today(plain))
    except ValidationError as error:
        said = first_mistake(error)
        raise UserError(
            f"{name}: expected a summary.json that Slotwise wrote (summary_version 1 or 2); {said}"
        ) from None


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
    pairs = [(name, path) for name in both for path in _paths(old[name])]
    rows = tuple(_row(path, old[name], new[name], apart is None, len(pairs), names) for name, path in pairs)
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
    """Return what is wrong with one of the two: what it lacks, what failed, and what only it has to say of itself."""
    found: list[BetweenNotice] = []
    for name, run, other in ((names[0], before, now), (names[1], now, before)):
        texts = {notice.text for notice in other.notices}
        kinds = {notice.kind for notice in other.notices} - _OF_EACH | {"origin"}
        for notice in run.notices:
            wrong = notice.kind in _WRONG
            if wrong or (alike and notice.kind not in kinds and notice.text not in texts):
                found.append(OwnNotice(name, notice.text, wrong))
    return found


def _why_unpaired(before: Summary, now: Summary) -> Unpaired | None:
    seeds = (before.run.seed, now.run.seed)
    if before.run.seed != now.run.seed:
        return Unpaired("seeds", seeds)
    if "model" in (before.run.control, now.run.control):
        return Unpaired("model", seeds)
    if not (before.run.work and now.run.work):
        return Unpaired("draws", seeds)
    return None


def _row(
    path: Path, old: _Candidate, new: _Candidate, paired: bool, comparisons: int, names: tuple[str, str]
) -> BetweenRow:
    was, is_ = _values(old, path), _values(new, path)
    found = (
        compare(names[1], is_, names[0], was, comparisons)
        if paired
        else compare_unpaired(names[1], list(is_.values()), names[0], list(was.values()), comparisons)
    )
    failed = (_failed(old, path), _failed(new, path))
    verdict: RowVerdict
    if not (old.repeats and new.repeats):
        verdict = "not measured"
    elif (failed[1] and not failed[0]) or (was and not is_):
        verdict = "now fails"
    elif (failed[0] and not failed[1]) or (is_ and not was):
        verdict = "now works"
    elif found is None:
        verdict = "no data"
    elif found.n < 2:
        verdict = "one repeat"
    else:
        verdict = _SAID[found.relation]
    common = was.keys() & is_.keys() if paired else frozenset[int]()
    before_s, now_s = (_mean({n: side[n] for n in common or side}) for side in (was, is_))
    return BetweenRow(old.name, path, before_s, now_s, found, verdict, *failed)


_SAID: Mapping[str, RowVerdict] = {
    "better": "faster",
    "worse": "slower",
    "equivalent": "equal",
    "unresolved": "not resolvable",
}


def _values(candidate: _Candidate, path: Path) -> dict[int, float]:
    return path_measure([dict(summary.time_by_repeat) for summary in candidate.pipelines if summary.path == path])


def _failed(candidate: _Candidate, path: Path) -> int:
    return sum(summary.jobs_failed for summary in candidate.pipelines if summary.path == path)


def _paths(candidate: _Candidate) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(summary.path for summary in candidate.pipelines))


def _mean(values: Mapping[int, float]) -> float | None:
    return math.exp(math.fsum(map(math.log, values.values())) / len(values)) if values else None


def verdict_of(rows: Sequence[BetweenRow]) -> RunVerdict:
    """Return the verdict on rows of one comparison, or of several."""
    found = {row.verdict for row in rows}
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


def _example(run: Summary) -> str:
    """Return a pipeline of a run, for an example: an interactive one where there is one."""
    pipelines = [pipeline for candidate in run.candidates for pipeline in candidate.pipelines]
    return next((one.pipeline for one in pipelines if one.path == "interactive"), "chat")


def _names(run: Summary) -> str:
    return ", ".join(candidate.name for candidate in run.candidates) or "none"
