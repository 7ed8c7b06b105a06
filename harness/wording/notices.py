"""What belongs above every number, in words."""

from __future__ import annotations

import shlex

from harness.analysis.facts import (
    BesideWork,
    BusyMachine,
    ClientShare,
    Failures,
    FilledSlots,
    GivenUp,
    Implausible,
    InterruptedTrials,
    LateClient,
    LayersOnCpu,
    LoadedMidRun,
    LostRecords,
    MeasuredUntil,
    ModelsNotLoaded,
    Notice,
    NotMeasured,
    OneRepeat,
    OtherCalls,
    Overload,
    Partial,
    ShortAnswers,
    SlotsDiffer,
    UnknownQueue,
    WaitedForModels,
)
from harness.units import count, percent, safe_url, seconds, size
from harness.wording.figures import listed, quoted
from harness.wording.others import at_least, others_text
from harness.wording.questions import until_text

__all__ = ["notice_text"]

_LONGEST_ERROR = 160
_LONGEST_RULE = 600  # what fitted no rule comes after the rules


def notice_text(notice: Notice) -> str:
    """Say one notice; what a run has noted of itself is in words already."""
    match notice:
        case Partial(complete, repeats, resume):
            have = ", ".join(f"{name} {done} of {repeats}" for name, done in complete)
            return f"Partial: complete repeats are {have}.{_resume(resume)}"
        case MeasuredUntil():
            return until_text(notice)
        case InterruptedTrials(trials):
            return f"{count(trials, 'trial was', 'trials were')} interrupted; excluded from all figures."
        case LostRecords(jobs, resume):
            what = f"{count(jobs, 'job')} made more calls than are recorded; their time splits are incomplete."
            return f"{what}{_resume(resume)}"
        case NotMeasured("emulated"):
            return "Emulated: the servers were simulated. No engine was measured."
        case NotMeasured():
            return "Predicted by simulation. Nothing was measured."
        case Failures():
            return _failures(notice)
        case Implausible():
            calls = f"Of {count(notice.calls, 'call')} " if notice.calls > 1 else "Of a call "
            where = f"first {notice.node} of job {notice.job} under {notice.candidate}"
            return f"{calls}{safe_url(notice.said)[:_LONGEST_ERROR]} ({where})."
        case SlotsDiffer(server, _, int(found), True):
            return at_least(server, found)
        case SlotsDiffer(server, asked, None):
            return f"{server}: its slots were not probed; {asked} were requested."
        case SlotsDiffer(server, asked, found):
            return (
                f"{server}: {count(asked or 0, 'slot')} requested, {found} found; its figures are for the slots found."
            )
        case Overload():
            return (
                f'{notice.candidate}: jobs of "{notice.pipeline}" came at {notice.came_per_s:.3g} per second and ended '
                f"at {notice.went_per_s:.3g} per second, about the most that it sustains; {percent(notice.under_way)} "
                "had not ended when the last one came. Each waits longer than the one before, so these times depend on "
                "the number of jobs."
            )
        case BesideWork():
            return _beside(notice)
        case ModelsNotLoaded(server, loaded, wanted):
            return (
                f"{server}: {loaded} of {wanted} models stayed loaded: there is no memory for all of them, so they are "
                "swapped."
            )
        case LateClient(lags_s, limit_s):
            worst = ", ".join(f"{name} {seconds(lag_s)}" for name, lag_s in lags_s)
            return (
                f"The client could not always keep up: its event loop was late ({worst}; 99th percentile; "
                f"{seconds(limit_s)} is the limit). The delay is part of the times."
            )
        case LayersOnCpu(server, size_bytes, vram_bytes, candidates, passed_over):
            over = f" {quoted(candidates)} {'is' if len(candidates) == 1 else 'are'} excluded for that."
            return (
                f"Layers on the CPU: of the {size(size_bytes)} that the model and the cache of all slots of {server} "
                f"take, {size(size_bytes - vram_bytes)} ({percent(notice.share)}) did not fit onto the accelerator. "
                "The cores compute those layers in every step, many times slower. Give it fewer slots, a smaller "
                "context_tokens, a KV cache of 8 bits (OLLAMA_KV_CACHE_TYPE=q8_0) or a smaller model."
                + (over if passed_over and candidates else "")
            )
        case BusyMachine(disturbed, trials, cores):
            where = ", ".join(f"{n} of {name}" for name, n in disturbed)
            return (
                f"{sum(n for _, n in disturbed)} of {count(trials, 'trial')} ran while other programs kept up to "
                f"{cores:.1f} cores busy ({where}). An engine that spreads over all cores waits for them in every "
                "step, so those times are too long: measure again on an idle machine."
            )
        case OtherCalls():
            return others_text(notice)
        case ClientShare(shares):
            worst = ", ".join(f"{pipeline} under {name} {percent(share)}" for pipeline, name, share in shares)
            return f"The client's own share of a call is high ({worst}; up to 5 % is usual)."
        case GivenUp(candidates):
            each = "; ".join(
                f"{name} {given_up} of {count(calls, 'call')} ({sent} cancelled on a server, {given_up - sent} never "
                "sent)"
                for name, given_up, sent, calls in candidates
            )
            return f"Given up, because enough others had ended: {each}."
        case FilledSlots(server, filled, answers, context, enough):
            return (
                f"{filled} of {count(answers, 'answer')} on {server} filled a slot of {context} tokens: they ended "
                "there, or went on without the beginning of their prompt, so times are too short. Give each slot "
                f"{enough} tokens (context_tokens: {enough})."
            )
        case ShortAnswers(short, answers):
            return (
                f"{short} of {count(answers, 'answer')} stopped before the requested length. Rates count the "
                "tokens that were generated; times are those of the shorter answers."
            )
        case WaitedForModels():
            where = "" if notice.server is None else f" on {notice.server}"
            return (
                f"Model swaps under {notice.candidate}{where}: {notice.waited} of {count(notice.calls, 'call')} waited "
                f"{seconds(notice.median_s)} (median) for a model to load, {seconds(notice.total_s)} in all, "
                "with the wait for calls of another model to end."
            )
        case LoadedMidRun(calls):
            return f"{count(calls, 'call')} had to load the model in the middle of the run."
        case UnknownQueue():
            return "Some waits in the server's queue are unknown (no baseline); that time is not attributed."
        case OneRepeat():
            return "One repeat: no interval can be given, and no difference is resolved."
        case _:
            return notice.text


def _resume(folder: str | None) -> str:
    if folder is None:
        return ""
    return f" To measure what is missing: slotwise run --resume {shlex.quote(folder)}"


def _beside(notice: BesideWork) -> str:
    others = listed(notice.others)
    text = (
        f"{notice.candidate}: {notice.beside} of {count(notice.replies, 'reply', 'replies')} of {notice.pipeline} came "
        f"while jobs of {others} ran, and took {seconds(notice.beside_s)} (median); the median of all is "
        f"{seconds(notice.all_s)}. Figures and goals are of all of them. "
    )
    if notice.hidden:
        text += "Beside those jobs the goal is missed. "
    if notice.best != notice.candidate:
        text += f'Under "{notice.best}" such replies take {seconds(notice.best_s)}. '
    return f"{text}To see the busy time alone, let the jobs of {others} follow one another: arrival: {{closed: 1}}."


def _failures(notice: Failures) -> str:
    kinds = ", ".join(f"{n} {outcome}" for outcome, n in notice.outcomes) or "none"
    first = f"; first: {safe_url(notice.error)[:_LONGEST_ERROR]}" if notice.error else ""
    retried = f", {notice.tried_again} of them were tried again" if notice.tried_again else ""
    calls = f"{notice.failed} of {count(notice.calls, 'call')} failed ({kinds}{first}){retried}. "
    them = "it is" if notice.jobs_failed == 1 else "they are"
    why = "".join(f" First of {name}: {safe_url(error)[:_LONGEST_RULE]}." for name, error in notice.rules)
    jobs = f"{notice.jobs_failed} of {count(notice.jobs, 'job')} failed"
    end = f"; {them} excluded from all times below.{why}" if notice.jobs_failed else "."
    return f"{notice.candidate}: {calls if notice.failed else ''}{jobs}{end}"
