"""The verdict in plain words. Names come from validated workloads; everything else is a number or fixed text."""

from __future__ import annotations

from collections.abc import Mapping

from harness.analysis.model import Analysis, CandidateSummary, PathVerdict, PipelineSummary
from harness.analysis.statistics import P95_NEEDS
from harness.analysis.timesplit import Parts
from harness.core.records import Path
from harness.units import count, seconds
from harness.wording.figures import GOAL_LABELS, PART_LABELS, estimate_text, listed, quoted, ratio_text, server_text
from harness.wording.gains import gains_text
from harness.wording.nobody import none_sentences
from harness.wording.sequels import sequel_answers, sequels_text

__all__ = ["choice_sentences", "of_those_known", "path_headline", "path_sentences"]

_WORTH_NAMING = 0.02  # of the pipeline time: smaller differences of a part explain nothing


def path_headline(analysis: Analysis, verdict: PathVerdict) -> str:
    """Say in one sentence how to run a path."""
    by_name = analysis.by_name
    where = f"{verdict.path.capitalize()} path ({listed(verdict.pipelines)})"
    if verdict.standing == "all fail":
        return f"{where}: jobs fail under every candidate, so none can be chosen."
    if verdict.chosen is None:
        return f"{where}: no job ended well, so there is nothing to choose from."
    how = f'"{verdict.chosen}" ({_how(by_name[verdict.chosen], verdict.pipelines)})'
    alone = "serially on each server" if by_name[verdict.chosen].pools else "serially"
    mode = "in batches" if verdict.batched else alone
    if verdict.standing == "one repeat":
        return f"{where}: one repeat is no verdict. Fastest in it: {how}."
    if verdict.standing in ("clear", "only one"):
        return f"{where}: run it {mode}, with {how}."
    tied = quoted([verdict.fastest or "", *(c.candidate for c in verdict.comparisons if c.relation != "worse")])
    if verdict.standing == "equivalent":
        return f"{where}: {tied} are equal within 5 %. Take the simplest: run it {mode}, with {how}."
    repeats = max(comparison.n for comparison in verdict.comparisons)
    on_what = "on this profile" if _by_profile(verdict) else f"from {count(repeats, 'repeat')}"
    return f"{where}: not resolvable between {tied} {on_what}. Take the simplest: run it {mode}, with {how}."


def path_sentences(analysis: Analysis, verdict: PathVerdict) -> tuple[str, ...]:
    """Say the numbers of a path, why it is so, and what it costs the other path."""
    later = sequels_text(verdict.sequels)
    if verdict.chosen is None:
        return later
    by_name = analysis.by_name
    candidate = by_name[verdict.chosen]
    mine = [summary for summary in candidate.pipelines if summary.pipeline in verdict.pipelines]
    sentences = [*later]
    sentences += [text for summary in mine if (text := _numbers(summary, verdict.path))]
    if verdict.comparisons:
        sentences.append(_against_the_fastest(verdict))
    if verdict.passed_over:
        sentences.append(f"Passed over, because jobs failed or none ended: {quoted(verdict.passed_over)}.")
    if needed := _would_tell(verdict):
        sentences.append(needed)
    sentences += _why(verdict, by_name)
    sentences += [_elsewhere(verdict, other) for other in analysis.paths if other.path != verdict.path]
    sentences += [_goal(goal.goal, goal.wanted_s, goal.found_s, summary) for summary in mine for goal in summary.goals]
    return tuple(sentences)


def choice_sentences(analysis: Analysis) -> tuple[str, ...]:
    """Say which one candidate to take, or what the trade is where there is none, and what follows from the choice."""
    name = analysis.choice.candidate
    sequels = [text for v in analysis.paths for text in sequel_answers(v.sequels, name or v.chosen or "")]
    gains = [] if analysis.gains is None else [gains_text(analysis.gains)]
    first, *others = _choice(analysis)
    return (of_those_known(analysis, first), *others, *sequels, *gains)


def of_those_known(analysis: Analysis, answer: str) -> str:
    """Return an answer that says which candidates are missing from it, before anything else; itself where none is."""
    missing = analysis.run.missing
    if not missing or not any(verdict.standing != "no data" for verdict in analysis.paths):
        return answer
    verb = "predicted" if analysis.run.origin == "predicted" else "measured"
    return (
        f"{quoted(missing)} could not be {verb}: see the notes. Of those that could be {verb}: "
        f"{answer[0].lower()}{answer[1:]}"
    )


def _choice(analysis: Analysis) -> tuple[str, ...]:
    verdicts = analysis.paths
    kind, name, tie = analysis.choice.kind, analysis.choice.candidate, analysis.choice.tie
    if kind == "none":
        return none_sentences(analysis)
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
    goals = [goal for candidate in analysis.candidates for summary in candidate.pipelines for goal in summary.goals]
    advice = (
        "No candidate meets every goal, so they do not decide it either."
        if any(goal.state == "missed" for goal in goals)
        else 'A "goal:" on the interactive pipeline would decide it; without one it is yours to choose.'
    )
    trade = [
        f'If the {verdict.path} path matters most, take "{verdict.chosen}": {_cost_text(verdict, other.path)}.'
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
        texts.append(
            f"{server_text(use.server, use.machine)}: {slots}, {limit} in flight, {use.concurrency}{kept}{scheduling}"
        )
    return "; ".join(texts)


def _numbers(summary: PipelineSummary, path: Path) -> str:
    if summary.time is None:
        return ""
    what = "Reply time" if path == "interactive" else "Pipeline time"
    text = f"{what} of {summary.pipeline}: {estimate_text(summary.time)}"
    if summary.first_token is not None:
        text += f", first token after {estimate_text(summary.first_token)}"
    if summary.p95_s is not None:
        over = count(summary.values, "reply", "replies") if summary.path == "interactive" else f"{summary.values} jobs"
        text += f", 95th percentile {seconds(summary.p95_s)} over {over}"
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
        rest = listed(told) if told else "no part differs by 2 % of it"
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
    rest = {PART_LABELS[field]: seconds_ for field, seconds_ in parts._asdict().items() if "wait" not in field}
    return {"waiting for its turn": waits, **rest}


def _elsewhere(verdict: PathVerdict, other: PathVerdict) -> str:
    if verdict.chosen == other.chosen:
        return f"Price on the {other.path} path: none, it is the choice there too."
    return f"Price on the {other.path} path: {_cost_text(verdict, other.path)}."


def _cost_text(verdict: PathVerdict, other: Path) -> str:
    cost = verdict.cost
    if cost is None:
        return f"not known, no job of the {other} path ended well under it"
    what = "a reply" if other == "interactive" else "a job"
    text = f'{what} takes {ratio_text(cost)} what it takes under "{cost.against}"'
    if cost.relation == "equivalent":
        return f"{text}, equal within 5 %"
    return f"{text}, which cannot be told from no difference" if cost.relation == "unresolved" and cost.n > 1 else text


def _goal(goal: str, wanted_s: float, found_s: float | None, summary: PipelineSummary) -> str:
    label = f"{GOAL_LABELS[goal]} of {summary.pipeline} within {seconds(wanted_s)}"
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
