"""The verdict in plain words. Names come from validated workloads; everything else is a number or fixed text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.analysis.model import CandidateSummary, PathVerdict, PipelineSummary
from harness.analysis.rule import ChoiceKind
from harness.analysis.statistics import P95_NEEDS, Comparison, Estimate
from harness.analysis.timesplit import LABELS, Parts
from harness.core.records import Path
from harness.units import count, seconds

__all__ = ["both_text", "choice_sentences", "estimate_text", "path_headline", "path_sentences", "ratio_text"]

_GOAL_LABELS = {"first_token_s": "first token", "p50_s": "median reply", "p95_s": "95th percentile of the reply"}
_WORTH_NAMING = 0.02  # of the pipeline time: smaller differences of a part explain nothing


def estimate_text(found: Estimate) -> str:
    """Write a time with its interval: `13.1 s (12.8 s to 13.4 s)`, or both: `13.1 s (±20 ms draws, ±0.3 s profile)`."""
    if found.profile_interval is not None:
        return f"{seconds(found.value)} ({', '.join(both_text(found, seconds))})"
    if found.interval is None:
        return f"{seconds(found.value)} ({_no_interval(found.n)})"
    low, high = found.interval
    return f"{seconds(found.value)} ({seconds(low)} to {seconds(high)})"


def both_text(found: Estimate, shown: Callable[[float], str]) -> tuple[str, ...]:
    """Write half of each interval, over draws and over the profile: `±20 ms draws`, `±0.3 s profile`."""
    intervals = (("draws", found.interval), ("profile", found.profile_interval))
    return tuple(f"±{shown((ends[1] - ends[0]) / 2)} {over}" for over, ends in intervals if ends is not None)


def ratio_text(found: Comparison) -> str:
    """Write a ratio with its interval: `1.25 times (1.21 to 1.30)`; predicted: over draws, then over the profile."""
    if found.interval is not None and found.profile_interval is not None:
        draws, profile = (f"{low:.2f} to {high:.2f}" for low, high in (found.interval, found.profile_interval))
        return f"{found.ratio:.2f} times ({draws} over draws, {profile} over the profile)"
    if found.interval is None:
        return f"{found.ratio:.2f} times" + (f" ({_no_interval(found.n)})" if found.n > 1 else "")
    low, high = found.interval
    return f"{found.ratio:.2f} times ({low:.2f} to {high:.2f})"


def _no_interval(n: int) -> str:
    return "one repeat: no interval" if n == 1 else f"no useful interval from {n} repeats"


def path_headline(verdict: PathVerdict, by_name: Mapping[str, CandidateSummary]) -> str:
    """Say in one sentence how to run the path."""
    where = f"{verdict.path.capitalize()} path ({_list(verdict.pipelines)})"
    if verdict.chosen is None:
        return f"{where}: no job ended well, so there is nothing to choose from."
    how = f'"{verdict.chosen}" ({_how(by_name[verdict.chosen], verdict.pipelines)})'
    alone = "serially on each server" if by_name[verdict.chosen].pools else "serially"
    mode = "in batches" if verdict.batched else alone
    if verdict.standing == "one repeat":
        return f"{where}: one repeat is no verdict. Fastest in it: {how}."
    if verdict.standing in ("clear", "only one"):
        return f"{where}: run it {mode}, with {how}."
    tied = _quoted([verdict.fastest or "", *(c.candidate for c in verdict.comparisons if c.relation != "worse")])
    if verdict.standing == "equivalent":
        return f"{where}: {tied} are equal within 5 %. Take the simplest: run it {mode}, with {how}."
    repeats = max(comparison.n for comparison in verdict.comparisons)
    on_what = "on this profile" if _by_profile(verdict) else f"from {count(repeats, 'repeat')}"
    return f"{where}: not resolvable between {tied} {on_what}. Take the simplest: run it {mode}, with {how}."


def path_sentences(
    verdict: PathVerdict, elsewhere: tuple[Path, str | None] | None, by_name: Mapping[str, CandidateSummary]
) -> tuple[str, ...]:
    """Say the numbers, why it is so, and what it costs the other path (`elsewhere`: that path and its own choice)."""
    if verdict.chosen is None:
        return ()
    candidate = by_name[verdict.chosen]
    mine = [summary for summary in candidate.pipelines if summary.pipeline in verdict.pipelines]
    sentences = [text for summary in mine if (text := _numbers(summary, verdict.path))]
    if verdict.comparisons:
        sentences.append(_against_the_fastest(verdict))
    if verdict.passed_over:
        sentences.append(f"Passed over, because jobs failed or none ended: {_quoted(verdict.passed_over)}.")
    if needed := _would_tell(verdict):
        sentences.append(needed)
    sentences += _why(verdict, by_name)
    if elsewhere is not None:
        sentences.append(_cost(verdict, *elsewhere))
    sentences += [_goal(goal.goal, goal.wanted_s, goal.found_s, summary) for summary in mine for goal in summary.goals]
    return tuple(sentences)


def choice_sentences(
    kind: ChoiceKind,
    name: str | None,
    tie: Comparison | None,
    verdicts: Sequence[PathVerdict],
    by_name: Mapping[str, CandidateSummary],
) -> tuple[str, ...]:
    """Say which one candidate to take, or what the trade is where there is none."""
    if kind == "none":
        return ("No candidate can be recommended: see the notes.",)
    tentative = " From one repeat, so far." if any(v.standing == "one repeat" for v in verdicts) else ""
    if kind == "one path":
        return (f'Take "{name}".{tentative}',)
    if kind == "same":
        return (f'Take "{name}": it is the choice on both paths.{tentative}',)
    batch, interactive = verdicts
    if kind == "both":
        stands = [f"on the {v.path} path {_stands(v, name or '')}" for v in verdicts]
        return (f'Take "{name}", which serves both paths: {stands[0]}, {stands[1]}.{tentative}',)
    wanted = (
        f'The paths want different candidates: "{batch.chosen}" for the batch path, '
        f'"{interactive.chosen}" for the interactive one.'
    )
    if kind == "goals":
        stands = [f"on the {v.path} path it is {_stands(v, name or '')}" for v in verdicts]
        why = "the fastest on the batch path of those that meet them"
        if tie is not None:
            why = f'which ties with "{tie.against}", {why}, and is simpler'
        return (wanted, f'The goals decide: take "{name}", {why}; {stands[0]}, {stands[1]}.{tentative}')
    goals = [goal for candidate in by_name.values() for summary in candidate.pipelines for goal in summary.goals]
    advice = (
        "No candidate meets every goal, so they do not decide it either."
        if any(goal.state == "missed" for goal in goals)
        else 'A "goal:" on the interactive pipeline would decide it; without one it is yours to choose.'
    )
    trade = [
        f'If the {verdict.path} path matters most, take "{verdict.chosen}": {_price_text(verdict, other.path)}.'
        for verdict, other in ((batch, interactive), (interactive, batch))
    ]
    return (f"{wanted} No candidate is near the best on both.", *trade, advice + tentative)


def _how(candidate: CandidateSummary, pipelines: tuple[str, ...]) -> str:
    texts = []
    for use in candidate.uses_for(pipelines):
        limit = "no limit on calls" if use.limit is None else f"at most {count(use.limit, 'call')}"
        scheduling = "" if use.key is None else f", {use.scheduling}"
        slots = count(use.slots, "slot") + (" (extrapolated)" if use.extrapolated else "")
        kept = "" if use.batch_limit is None else f" (at most {count(use.batch_limit, 'batch call')})"
        texts.append(f"{use.server}: {slots}, {limit} in flight, {use.concurrency}{kept}{scheduling}")
    return "; ".join(texts)


def _numbers(summary: PipelineSummary, path: Path) -> str:
    if summary.time is None:
        return ""
    what = "Reply time" if path == "interactive" else "Pipeline time"
    text = f"{what} of {summary.pipeline}: {estimate_text(summary.time)}"
    if summary.first_token is not None:
        text += f", first token after {estimate_text(summary.first_token)}"
    if summary.p95_s is not None:
        of = count(summary.values, "reply", "replies") if summary.path == "interactive" else f"{summary.values} jobs"
        text += f", 95th percentile {seconds(summary.p95_s)} over {of}"
    intervals = ", 95 % intervals" if summary.time.low is not None else ""
    return f"{text}; {summary.time.origin}, {count(summary.time.n, 'repeat')}{intervals}."


def _against_the_fastest(verdict: PathVerdict) -> str:
    texts = []
    for c in sorted(verdict.comparisons, key=lambda comparison: comparison.ratio):
        said = {
            "worse": "takes",
            "better": "takes",
            "equivalent": "is equal within 5 %:",
            "unresolved": "cannot be told from it:" if c.low is not None else "took",
        }[c.relation]
        texts.append(f'"{c.candidate}" {said} {ratio_text(c)}')
    over = f", over {len(verdict.pipelines)} pipelines (geometric mean)" if len(verdict.pipelines) > 1 else ""
    return f'Against the fastest, "{verdict.fastest}"{over}: {"; ".join(texts)}.'


def _would_tell(verdict: PathVerdict) -> str:
    unresolved = [c for c in verdict.comparisons if c.relation == "unresolved"]
    if not unresolved:
        return ""
    if verdict.standing == "one repeat":
        return "Run at least 5 repeats for a verdict."
    if _by_profile(verdict):
        return (
            "More repeats would not tell: the profile is not known well enough. `slotwise calibrate --thorough` or a "
            "real run would."
        )
    if any(c.repeats_needed is None for c in unresolved):
        return "Not even 1000 repeats would tell."
    needed = max(c.repeats_needed or 0 for c in unresolved)
    return f"About {needed} repeats would tell (--repeats {needed})."


def _by_profile(verdict: PathVerdict) -> bool:
    return any(c.unresolved_by == "profile" for c in verdict.comparisons)


def _why(verdict: PathVerdict, by_name: Mapping[str, CandidateSummary]) -> list[str]:
    """Name the parts of the time by which the choice differs from the best of the other kind (serial or batched)."""
    rivals = [c.candidate for c in sorted(verdict.comparisons, key=lambda c: c.ratio) if c.candidate != verdict.chosen]
    if verdict.fastest != verdict.chosen and verdict.fastest:
        rivals.insert(0, verdict.fastest)
    chosen = by_name[verdict.chosen or ""]
    unlike = [name for name in rivals if by_name[name].batches(verdict.pipelines) != verdict.batched]
    rival = next(iter(unlike or rivals), None)
    if rival is None:
        return []
    who = "reply" if verdict.path == "interactive" else "job"
    sentences = []
    for pipeline in verdict.pipelines:
        mine, theirs = _job_parts(chosen, pipeline), _job_parts(by_name[rival], pipeline)
        total_s = max(sum(mine.values()), sum(theirs.values()))
        changes = {kind: mine[kind] - theirs[kind] for kind in mine}
        named = sorted(
            (k for k in changes if abs(changes[k]) >= _WORTH_NAMING * total_s), key=lambda k: -abs(changes[k])
        )
        told = [f"{_change(changes[kind])} {kind}" for kind in sorted(named, key=lambda kind: changes[kind] > 0)]
        rest = _list(told) if told else "no part differs by 2 % of it"
        mean_s = sum(changes.values())
        text = f'Why: a {who} of {pipeline} takes {_change(mean_s)} than under "{rival}"'
        sentences.append(f"{text}: {rest} (means on the critical path).")
        if mean_s * _median_change(chosen, by_name[rival], pipeline) < 0 and abs(mean_s) >= _WORTH_NAMING * total_s:
            sentences[-1] += " By the medians it is the other way round: a few take much longer than the others."
    return sentences


def _median_change(one: CandidateSummary, other: CandidateSummary, pipeline: str) -> float:
    """Return how much longer a job of a pipeline takes under one of two, by the median; 0 where it is not known."""
    mine, theirs = (next((s.time for s in c.pipelines if s.pipeline == pipeline), None) for c in (one, other))
    return 0.0 if mine is None or theirs is None else mine.value - theirs.value


def _change(difference_s: float) -> str:
    return f"{seconds(abs(difference_s))} {'less' if difference_s < 0 else 'more'}"


def _job_parts(candidate: CandidateSummary, pipeline: str) -> dict[str, float]:
    """Parts along the critical path by words; the waits for a turn are one, wherever the queue is."""
    parts = next((s.job_parts for s in candidate.pipelines if s.pipeline == pipeline), Parts())
    waits = parts.router_wait_s + parts.throttle_wait_s + parts.queue_wait_s
    rest = {LABELS[field]: seconds_ for field, seconds_ in parts._asdict().items() if "wait" not in field}
    return {"waiting for its turn": waits, **rest}


def _cost(verdict: PathVerdict, other: Path, other_choice: str | None) -> str:
    if verdict.chosen == other_choice:
        return f"Price on the {other} path: none, it is the choice there too."
    return f"Price on the {other} path: {_price_text(verdict, other)}."


def _price_text(verdict: PathVerdict, other: Path) -> str:
    price = verdict.price
    if price is None:
        return f"not known, no job of the {other} path ended well under it"
    what = "a reply" if other == "interactive" else "a job"
    text = f'{what} takes {ratio_text(price)} what it takes under "{price.against}"'
    if price.relation == "equivalent":
        return f"{text}, equal within 5 %"
    return (
        f"{text}, which cannot be told from no difference" if price.relation == "unresolved" and price.n > 1 else text
    )


def _goal(goal: str, wanted_s: float, found_s: float | None, summary: PipelineSummary) -> str:
    label = f"{_GOAL_LABELS[goal]} of {summary.pipeline} within {seconds(wanted_s)}"
    if found_s is None and goal == "p95_s":
        return f"Goal not judged: {label}; a 95th percentile needs {P95_NEEDS} replies, there are {summary.values}."
    if found_s is None:
        return f"Goal not judged: {label}; it was not measured."
    text = f"Goal {'met' if found_s <= wanted_s else 'missed'}: {label}, found {seconds(found_s)}"
    estimate = {"first_token_s": summary.first_token, "p50_s": summary.time}.get(goal)
    if estimate is None:
        return f"{text}."
    if seconds(estimate.value) != seconds(found_s):
        text += f" (median over the repeats; their mean is {seconds(estimate.value)})"
    low, high = estimate.profile_interval or (found_s, found_s)
    if low < wanted_s < high:
        return f"{text}, which is not certain: the profile allows {seconds(low)} to {seconds(high)}."
    if estimate.low is not None and estimate.high is not None and estimate.low < wanted_s < estimate.high:
        interval = f"{seconds(estimate.low)} to {seconds(estimate.high)}"
        text += f", which is not certain: its interval over the repeats is {interval}"
    return f"{text}."


def _stands(verdict: PathVerdict, name: str) -> str:
    """Say how a candidate stands against the fastest of a path."""
    if name == verdict.fastest:
        return "the fastest"
    for c in verdict.comparisons:
        if c.candidate == name:
            return {
                "equivalent": f"equal to the fastest within 5 % ({c.ratio:.2f} times)",
                "unresolved": f"not to be told from the fastest ({c.ratio:.2f} times)",
            }.get(c.relation, f"{ratio_text(c)} the fastest")
    return "not judged"


def _quoted(names: Sequence[str]) -> str:
    return _list([f'"{name}"' for name in names])


def _list(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
