"""Between runs: the same work, done before and after something changed. Faster, slower, equal, or not to be told?

Runs are compared by their summaries, so a summary.json that was kept is as good as the run's folder. Every candidate is
compared with itself on every path by the measure that verdicts use. Where both runs faced the same draws, repeats are
paired; where not, it is Welch's t. All intervals of a pair of runs share the error (Bonferroni).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.analysis.statistics import Comparison, compare, compare_unpaired
from harness.analysis.verdict import path_measure
from harness.core.records import Origin, Path
from harness.errors import UserError
from harness.runs.changes import changes
from harness.runs.model import NOTE_KINDS
from harness.runs.older import summary_of_today

__all__ = ["Between", "BetweenRow", "RowVerdict", "RunVerdict", "Summary", "compare_runs", "read_summary"]

RowVerdict = Literal["faster", "slower", "equal", "not resolvable", "one repeat", "now fails", "now works", "no data"]
RunVerdict = Literal["regression", "improvement", "mixed", "equal", "not resolvable"]

_SENTENCE = re.compile(r"(?<=\.)\s")
_WRONG = frozenset(("partial", "interrupted", "lost", "failures"))
# Said of each run, however many say it; of the other kinds (a busy client, say) what both say is no difference.
_OF_EACH = _WRONG | set(NOTE_KINDS)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Pipeline(_Part):
    pipeline: str
    path: Path
    time_by_repeat: tuple[tuple[int, float], ...]
    jobs_failed: int


class _Use(_Part):
    server: str
    slots: int
    concurrency: str
    scheduling: str
    limit: int | None


class _Candidate(_Part):
    name: str
    servers: tuple[_Use, ...]
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
    """One candidate on one path in both runs. `before_s` and `now_s` are geometric means over repeats."""

    candidate: str
    path: Path
    before_s: float | None
    now_s: float | None
    comparison: Comparison | None  # now against before: below 1 it takes less time
    verdict: RowVerdict
    failed_before: int  # jobs
    failed_now: int


class Between(NamedTuple):
    """One run against the one that it is held to."""

    before: str  # what was named
    now: str
    paired: bool
    method: str  # how it was compared, and what that leaves out
    notices: tuple[str, ...]  # what to know first
    changed: tuple[str, ...]  # machine, versions, servers, candidates
    rows: tuple[BetweenRow, ...]
    verdict: RunVerdict
    sentence: str


def read_summary(plain: object, name: str) -> Summary:
    """Return what a comparison needs; UserError where `plain` is no summary."""
    try:
        return Summary.model_validate(summary_of_today(plain))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UserError(
            f"{name}: expected a summary.json that Slotwise wrote (summary_version 1 or 2); {where}: "
            f"{problem['msg'].lower()}"
        ) from None


def compare_runs(before: Summary, now: Summary, names: tuple[str, str]) -> Between:
    """Compare two runs, named for people.

    Raises:
        UserError: they cannot be compared, and why: they did other work, or have no candidate in common.
    """
    notices = _check_same_work(before, now, names)
    both = [candidate.name for candidate in before.candidates if candidate.name in {c.name for c in now.candidates}]
    if not both:
        raise UserError(
            f"{names[0]} and {names[1]} cannot be compared: they have no candidate in common ({_names(before)} there, "
            f"{_names(now)} here)"
        )
    apart = _why_unpaired(before, now)
    old, new = ({candidate.name: candidate for candidate in run.candidates} for run in (before, now))
    pairs = [(name, path) for name in both for path in _paths(old[name])]
    rows = tuple(_row(path, old[name], new[name], apart is None, len(pairs), names) for name, path in pairs)
    for run, others, what in ((before, new, "only before"), (now, old, "only now")):
        missing = [candidate.name for candidate in run.candidates if candidate.name not in others]
        if missing:
            notices.append(f"Candidates {what}, and so not compared: {', '.join(missing)}.")
    alike = "predicted" not in {before.run.origin, now.run.origin} or before.run.origin == now.run.origin
    notices += _own_notices(before, now, names, alike)
    verdict = _verdict(rows)
    return Between(
        before=names[0],
        now=names[1],
        paired=apart is None,
        method=_method(apart, len(pairs)),
        notices=tuple(notices),
        changed=tuple(_changed(before, now, both, alike)),
        rows=rows,
        verdict=verdict,
        sentence=_sentence(verdict, rows, names),
    )


def _check_same_work(before: Summary, now: Summary, names: tuple[str, str]) -> list[str]:
    """Raise where the work is another; return what to say where that is not known, or where numbers differ in kind."""
    notices = []
    if before.run.work and now.run.work:
        parts = dict.fromkeys((*before.run.work, *now.run.work))
        differ = [part for part in parts if before.run.work.get(part) != now.run.work.get(part)]
        if differ:
            raise UserError(
                f"{names[0]} and {names[1]} cannot be compared: they did not do the same work. "
                f'"{before.run.workload}" there and "{now.run.workload}" here differ in their {" and ".join(differ)}.'
            )
    elif before.run.workload != now.run.workload:
        raise UserError(
            f'{names[0]} and {names[1]} cannot be compared: "{before.run.workload}" there is another workload than '
            f'"{now.run.workload}" here'
        )
    else:
        notices.append(
            "One of the runs does not say what its work was (it is older): only the workload's name is equal."
        )
    if before.run.origin != now.run.origin:
        kinds = f"{names[0]} is {before.run.origin} and {names[1]} is {now.run.origin}: no like with like."
        off = " The ratios say how far the prediction is off; `slotwise score` says it for every figure."
        notices.append(kinds + (off if "predicted" in (before.run.origin, now.run.origin) else ""))
    return notices


def _own_notices(before: Summary, now: Summary, names: tuple[str, str], alike: bool) -> list[str]:
    """Return what is wrong with one of the two: what it lacks, what failed, and what only it has to say of itself.

    Of what is not wrong a sentence each; the rest is in the run's report.
    """
    said = []
    for name, run, other in ((names[0], before, now), (names[1], now, before)):
        texts, kinds = {of.text for of in other.notices}, {of.kind for of in other.notices} - _OF_EACH | {"origin"}
        for of in run.notices:
            if of.kind in _WRONG:
                said.append(f"{name}: {of.text}")
            elif alike and of.kind not in kinds and of.text not in texts:
                said.append(f"{name}: {_SENTENCE.split(of.text, maxsplit=1)[0]}")
    return said


def _why_unpaired(before: Summary, now: Summary) -> str | None:
    if before.run.seed != now.run.seed:
        return f"their seeds differ ({before.run.seed} and {now.run.seed})"
    if "model" in (before.run.control, now.run.control):
        return "the model's answers decided which way jobs went"
    if not (before.run.work and now.run.work):
        return "it is not known that they faced the same draws"
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
    if (failed[1] and not failed[0]) or (was and not is_):
        verdict = "now fails"
    elif (failed[0] and not failed[1]) or (is_ and not was):
        verdict = "now works"
    elif found is None:
        verdict = "no data"
    elif found.n < 2:
        verdict = "one repeat"
    else:
        verdict = _SAID[found.relation]
    return BetweenRow(old.name, path, _mean(was), _mean(is_), found, verdict, *failed)


_SAID: Mapping[str, RowVerdict] = {
    "better": "faster",
    "worse": "slower",
    "equivalent": "equal",
    "unresolved": "not resolvable",
}


def _values(candidate: _Candidate, path: Path) -> dict[int, float]:
    return path_measure([dict(of.time_by_repeat) for of in candidate.pipelines if of.path == path])


def _failed(candidate: _Candidate, path: Path) -> int:
    return sum(of.jobs_failed for of in candidate.pipelines if of.path == path)


def _paths(candidate: _Candidate) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(of.path for of in candidate.pipelines))


def _mean(values: Mapping[int, float]) -> float | None:
    return math.exp(math.fsum(map(math.log, values.values())) / len(values)) if values else None


def _verdict(rows: Sequence[BetweenRow]) -> RunVerdict:
    found = {row.verdict for row in rows}
    worse, better = found & {"slower", "now fails"}, found & {"faster", "now works"}
    if worse:
        return "mixed" if better else "regression"
    if better:
        return "improvement"
    return "equal" if found == {"equal"} else "not resolvable"


def _sentence(verdict: RunVerdict, rows: Sequence[BetweenRow], names: tuple[str, str]) -> str:
    groups = [
        f"{word} {', '.join(f'{row.candidate} ({row.path})' for row in those)}"
        for word, those in (
            (word, [row for row in rows if row.verdict == word])
            for word in ("now fails", "slower", "faster", "now works")
        )
        if those
    ]
    said = {
        "regression": f"{names[1]} is worse than {names[0]}",
        "improvement": f"{names[1]} is better than {names[0]}",
        "mixed": f"{names[1]} is better than {names[0]} in some and worse in other respects",
        "equal": f"{names[1]} and {names[0]} are equal within 5 %",
        "not resolvable": f"{names[1]} and {names[0]} cannot be told apart",
    }[verdict]
    if {row.verdict for row in rows} <= {"one repeat", "no data"}:
        return f"{said}: that takes at least two complete repeats that both have."
    return f"{said}: {'; '.join(groups)}." if groups else f"{said}."


def _changed(before: Summary, now: Summary, both: Sequence[str], alike: bool) -> list[str]:
    """Return what is different; of a prediction and a measurement not what only one of them can have."""
    found = changes(before.run.machine, now.run.machine) if alike else []
    old = {server.name: server.model_dump(exclude={"name"}) for server in before.run.servers}
    for server in now.run.servers if alike else ():
        if server.name in old:
            differ = changes(old[server.name], server.model_dump(exclude={"name"}))
            found += [f"{server.name}: {change}" for change in differ]
    if before.run.seed != now.run.seed:
        found.append(f"seed was {before.run.seed}, now {now.run.seed}")
    if before.run.repeats != now.run.repeats:
        found.append(f"repeats were {before.run.repeats}, now {now.run.repeats}")
    uses = [{candidate.name: candidate.servers for candidate in run.candidates} for run in (before, now)]
    for name in both:
        if uses[0][name] != uses[1][name]:
            found.append(f'"{name}" was {_uses(uses[0][name])}, now {_uses(uses[1][name])}')
    return found


def _uses(uses: Sequence[_Use]) -> str:
    return (
        "; ".join(f"{use.server}: {use.slots} slots, {use.concurrency}, {use.scheduling}" for use in uses) or "not run"
    )


def _names(run: Summary) -> str:
    return ", ".join(candidate.name for candidate in run.candidates) or "none"


def _method(apart: str | None, comparisons: int) -> str:
    how = (
        "Paired by repeat: both runs faced the same draws."
        if apart is None
        else f"Not paired, because {apart}: Welch's t on logarithms, with a wider interval."
    )
    width = 100 * (1 - 0.05 / comparisons)
    shared = "95 % intervals" if comparisons == 1 else f"{comparisons} intervals share the error: {width:.1f} % each"
    return (
        f"{how} {shared}. They hold what varies within the runs, and not what changes from one session to the next "
        "(temperature, other programs): a difference of a few per cent is best seen twice."
    )
