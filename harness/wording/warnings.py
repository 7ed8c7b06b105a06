"""What must be known before an answer, one short line each; the notes of the full report have the details."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.facts import (
    NUMBERS_WRONG,
    BesideWork,
    BusyMachine,
    ClientShare,
    Failures,
    FilledSlots,
    Implausible,
    InterruptedTrials,
    LateClient,
    LayersOnCpu,
    LoadedMidRun,
    LostRecords,
    MeasuredUntil,
    ModelsNotLoaded,
    Notice,
    OtherCalls,
    Overload,
    Partial,
    Recorded,
    ShortAnswers,
    SlotsDiffer,
    WaitedForModels,
)
from harness.analysis.model import Analysis
from harness.core.records import PREDICTED
from harness.runs.model import Note
from harness.units import count, percent, seconds
from harness.wording.beside import beside_brief
from harness.wording.figures import quoted
from harness.wording.others import others_brief

__all__ = ["layers_text", "warnings_of"]

# What a run or a prediction notes of itself and every number depends on; other notes wait for the full report.
_SERIOUS = NUMBERS_WRONG.union(
    ("changed", "contention", "drift", "endless", "faults", "lost slots", "memory"),
    ("open questions", "out of range", "records", "run", "skipped", "too long"),
)


def layers_text(server: str, share: float) -> str:
    """Say that some layers of a server's model are on the CPU beside an accelerator, in a line."""
    return f"Layers on the CPU: {percent(share)} of {server}'s model did not fit (slow)."


def warnings_of(analysis: Analysis) -> tuple[str, ...]:
    """Say what must be known before the answer, the worst first.

    What makes the numbers wrong, then what is not in the answer, then what limits it: a screen has room for three.
    """
    return tuple(_warnings(analysis))


def _warnings(analysis: Analysis) -> Iterator[str]:
    run = analysis.run
    # Notes of runs of older versions have no kind; those of predictions say what they rest on.
    notices = [notice for notice in analysis.notices if notice.kind != "run" or run.origin == "measured"]
    wrong = [notice for notice in notices if notice.kind in NUMBERS_WRONG]
    if any(notice.kind == "busy machine" for notice in wrong):  # which says it of all its trials
        wrong = [notice for notice in wrong if notice.kind != "busy at start"]
    yield from filter(None, map(_brief, wrong))
    if run.missing and any(candidate.repeats for candidate in analysis.candidates):
        were = "was" if len(run.missing) == 1 else "were"
        what = "could not be predicted" if run.origin in PREDICTED else f"{were} not measured"
        yield f"Missing: {quoted(run.missing)} {what}. The answer covers the others only."
    for failures in (notice for notice in notices if isinstance(notice, Failures)):
        yield _failures(failures)
    overloaded: dict[str, list[str]] = {}
    for notice in notices:
        if isinstance(notice, Overload):
            overloaded.setdefault(notice.pipeline, []).append(notice.candidate)
    for pipeline, names in overloaded.items():
        yield f"Overload under {quoted(names)}: jobs of {pipeline} arrived faster than they ended."
    for notice in notices:
        if isinstance(notice, BesideWork) and notice.candidate == analysis.choice.candidate:
            yield beside_brief(notice)
    filled = sum(notice.filled for notice in notices if isinstance(notice, FilledSlots))
    rest = (
        notice
        for notice in notices
        if notice.kind not in NUMBERS_WRONG and not (isinstance(notice, ShortAnswers) and notice.short <= filled)
    )  # of answers that filled their slots it is said why they stopped
    yield from filter(None, map(_brief, rest))


def _failures(notice: Failures) -> str:
    kinds = ", ".join(f"{n} {outcome}" for outcome, n in notice.outcomes)
    if notice.jobs_failed:
        why = f" ({kinds})" if kinds else ""
        return f'Failed under "{notice.candidate}": {notice.jobs_failed} of {count(notice.jobs, "job")}{why}.'
    return f'Failed under "{notice.candidate}": {notice.failed} of {count(notice.calls, "call")} ({kinds}), no job.'


def _brief(notice: Notice) -> str:
    match notice:
        case LayersOnCpu():
            return layers_text(notice.server, notice.share)
        case Partial(complete, repeats, _):
            fewest = min((done for _, done in complete), default=0)
            return f"Partial: {fewest} of {count(repeats, 'repeat')} are complete for every candidate."
        case MeasuredUntil(repeats=repeats, interrupted=True):
            return f"Partial: interrupted after {count(repeats, 'repeat')}, before every question was settled."
        case Implausible(calls):
            return f"Of {count(calls, 'call')} the server said times or counts that cannot be; they were left out."
        case InterruptedTrials(trials):
            return f"Interrupted: {count(trials, 'trial')}, excluded from all figures."
        case LostRecords(jobs, _):
            return f"Records of calls are missing for {count(jobs, 'job')}."
        case SlotsDiffer(server, _, int(found), True):
            return f"{server} has at least {count(found, 'slot')}; there may be more."
        case SlotsDiffer(server, asked, None):
            return f"The slots of {server} were not probed; {asked} were requested."
        case SlotsDiffer(server, asked, found):
            return f"{server} has {found} slots, not the {asked} requested."
        case ModelsNotLoaded(server, loaded, wanted):
            return f"{server} keeps {loaded} of {wanted} models in memory, so they are swapped."
        case LateClient(_, limit_s):
            return f"This program could not keep up: its event loop was over {seconds(limit_s)} late."
        case BusyMachine(disturbed, trials, cores):
            busy = sum(n for _, n in disturbed)
            return f"Other programs used up to {cores:.1f} cores in {busy} of {count(trials, 'trial')}."
        case OtherCalls():
            return others_brief(notice)
        case ClientShare(shares):
            return f"The client's own share of a call is high: up to {percent(max(share for *_, share in shares))}."
        case FilledSlots(server, filled, answers, context, enough):
            what = f"{filled} of {count(answers, 'answer')} were truncated"
            return f"{what}: a slot of {server} has {context} tokens, they need {enough}."
        case ShortAnswers(short, answers):
            return f"{short} of {count(answers, 'answer')} stopped before the requested length."
        case WaitedForModels():
            return f'Model swaps under "{notice.candidate}": {notice.waited} of {notice.calls} calls waited.'
        case LoadedMidRun(calls):
            return f"{count(calls, 'call')} had to load the model in the middle of the run."
        case Note(kind, text) | Recorded(kind, text):
            return text.partition(". ")[0].rstrip(".") + "." if kind in _SERIOUS else ""
        case _:
            return ""
