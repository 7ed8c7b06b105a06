"""The verdict in plain words. Names come from validated workloads; everything else is a number or fixed text."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.analysis.goals import judge_pipeline
from harness.analysis.model import Analysis, CandidateSummary, PathVerdict, PipelineSummary
from harness.analysis.statistics import Comparison
from harness.core.records import PREDICTED, Path
from harness.units import about, count, seconds
from harness.wording.differences import difference
from harness.wording.estimates import NOT_RESOLVABLE, make_sure, model_asked
from harness.wording.figures import estimate_text, listed, quoted, ratio_inside, shown_interval
from harness.wording.found_again import found_again_texts
from harness.wording.gains import gains_text
from harness.wording.goals import goal_sentence
from harness.wording.manner import manner
from harness.wording.nobody import none_sentences
from harness.wording.open_differences import NOT_FASTER
from harness.wording.ratios import Subject, between, than
from harness.wording.sequels import sequel_answers, sequels_text

__all__ = ["choice_sentences", "path_headline", "path_sentences", "spilled", "time_for", "unmeasured"]

_LONG = 200  # characters of how a path is run: lines are broken where they are shown


def path_headline(analysis: Analysis, verdict: PathVerdict) -> str:
    """Say in one sentence how to run a path."""
    pipelines = verdict.pipelines
    where = f"{verdict.path.capitalize()} path ({listed(pipelines)})"
    if verdict.standing == "all fail":
        return f"{where}: jobs fail under every candidate, so none can be chosen."
    if verdict.chosen is None:
        ended = [summary for one in analysis.candidates for summary in one.pipelines if summary.pipeline in pipelines]
        if any(summary.values for summary in ended):
            return f"{where}: in no repeat a job of each pipeline succeeded, so there is nothing to choose from."
        if not any(summary.jobs_failed for summary in ended):
            return f"{where}: not measured, no trial is complete."
        return f"{where}: no job succeeded, so there is nothing to choose from."
    candidate = analysis.by_name[verdict.chosen]
    servers = candidate.uses_for(verdict.pipelines)
    how = manner(candidate._replace(servers=servers or candidate.servers), [(verdict.path, verdict.pipelines)], _LONG)
    lacking = any(unmeasured(analysis.by_name[name], pipelines) for name in verdict.passed_over)
    begin = "for now, " if verdict.standing in ("unresolved", "one repeat") or lacking else ""
    end = NOT_FASTER if verdict.standing == "unresolved" and verdict.chosen != verdict.fastest else ""
    return f'{where}: {begin}{how} ("{verdict.chosen}"){end}.'


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
    sentences += _against_the_fastest(verdict)
    if verdict.passed_over:
        on_cpu = tuple(name for name in verdict.passed_over if spilled(by_name[name], verdict.pipelines))
        missing = tuple(name for name in verdict.passed_over if unmeasured(by_name[name], verdict.pipelines))
        failed = tuple(name for name in verdict.passed_over if name not in (*on_cpu, *missing))
        if missing:
            sentences.append(f"Not measured, because no trial of it is complete: {quoted(missing)}.")
        if failed:
            sentences.append(f"Excluded, because jobs failed or none ended: {quoted(failed)}.")
        if on_cpu:
            sentences.append(f"Excluded, because layers of a model are on the CPU: {quoted(on_cpu)}.")
    if needed := _would_resolve(analysis, verdict):
        sentences.append(needed)
    sentences += _why(verdict, by_name)
    sentences += found_again_texts(analysis, verdict.pipelines)
    sentences += [_elsewhere(candidate, verdict, other) for other in analysis.paths if other.path != verdict.path]
    sentences += [goal_sentence(found, summary) for summary in mine for found in judge_pipeline(summary)]
    return tuple(sentences)


def spilled(candidate: CandidateSummary, pipelines: Collection[str]) -> bool:
    """Whether layers on the CPU are all that is wrong with a candidate that is passed over."""
    mine = [summary for summary in candidate.pipelines if summary.pipeline in pipelines]
    return candidate.on_cpu and all(summary.time is not None and not summary.jobs_failed for summary in mine)


def unmeasured(candidate: CandidateSummary, pipelines: Collection[str]) -> bool:
    """Whether there is nothing of a candidate to go by: none of its trials is complete, in a run that was cut."""
    mine = [summary for summary in candidate.pipelines if summary.pipeline in pipelines]
    return not any(summary.values or summary.jobs_failed for summary in mine)


def choice_sentences(analysis: Analysis) -> tuple[str, ...]:
    """Say what a later pipeline gains, and what slots gain at each level; or why there is no answer."""
    name = analysis.choice.candidate
    if analysis.choice.kind == "none":
        return none_sentences(analysis)
    sequels = [text for v in analysis.paths for text in sequel_answers(v.sequels, name or v.chosen or "")]
    gains = [] if analysis.gains is None else [gains_text(analysis.gains)]
    return (*sequels, *gains)


def _numbers(summary: PipelineSummary, path: Path) -> str:
    if summary.time is None:
        return ""
    what = "Reply time" if path == "interactive" else "Pipeline time"
    text = f"{what} of {summary.pipeline}: {estimate_text(summary.time)}"
    if summary.first_token is not None:
        if summary.first_thought is not None:
            text += f", first thought after {estimate_text(summary.first_thought)}"
        text += f", first token after {estimate_text(summary.first_token)}"
    if summary.p95_s is not None:
        over = count(summary.values, "reply", "replies") if summary.path == "interactive" else f"{summary.values} jobs"
        text += f", 95th percentile {seconds(summary.p95_s)} over {over}"
    intervals = ", 95 % intervals" if shown_interval(summary.time) else ""
    return f"{text}; {summary.time.origin}, {count(summary.time.n, 'repeat')}{intervals}."


def _against_the_fastest(verdict: PathVerdict) -> list[str]:
    if not verdict.comparisons:
        return []
    over = f", over {len(verdict.pipelines)} pipelines (geometric mean)" if len(verdict.pipelines) > 1 else ""
    found = sorted(verdict.comparisons, key=lambda comparison: comparison.ratio)
    return [f'The fastest is "{verdict.fastest}"{over}. {" ".join(f"{_one(c)}." for c in found)}']


def _one(found: Comparison) -> str:
    """Say how a candidate stands to the fastest."""
    if found.relation == "equivalent":
        return f'"{found.candidate}" is equal within 5 % ({ratio_inside(found)})'
    if found.relation == "unresolved" and found.n > 1:
        return f'"{found.candidate}" shows no measurable difference ({ratio_inside(found)})'
    return Subject(f'"{found.candidate}"').takes(found.ratio) + between(found)


def _would_resolve(analysis: Analysis, verdict: PathVerdict) -> str:
    unresolved = [c for c in verdict.comparisons if c.relation == "unresolved"]
    if not unresolved:
        return ""
    if verdict.standing == "one repeat":
        return "One repeat settles nothing: run at least 5."
    if any(c.unresolved_by == "profile" for c in unresolved):
        if analysis.run.origin == "estimated":
            model = model_asked(one.model for one in analysis.run.servers)
            return f"{NOT_RESOLVABLE}: more repeats do not help. {make_sure(model)}"
        return "The profile is too uncertain for more repeats to help. Measure, or run `slotwise calibrate --thorough`."
    if any(c.repeats_needed is None for c in unresolved):
        return "Not even 1000 repeats would resolve this."
    needed = max(c.repeats_needed or 0 for c in unresolved)
    return f"About {needed} repeats would resolve this{time_for(analysis, needed)} (--repeats {needed})."


def time_for(analysis: Analysis, repeats: int) -> str:
    """Say about how long this many repeats of all candidates take; "" where nothing was measured."""
    makespans = [candidate.makespan.value for candidate in analysis.candidates if candidate.makespan]
    return f": {about(repeats * sum(makespans))}" if analysis.run.origin not in PREDICTED and makespans else ""


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
        found = difference(chosen, by_name[rival], pipeline)
        change = f"{seconds(abs(found.mean_s))} {'less' if found.mean_s < 0 else 'more'}"
        rest = listed(found.parts) if found.parts else "no part differs by 2 % of it"
        text = f'Why: a {who} of {pipeline} takes {change} than with "{rival}": {rest} (means on the critical path).'
        if found.counts and found.mean_s * found.median_s < 0:
            text += " By the medians it is the other way round: a few take much longer than the others."
        sentences.append(text)
    return sentences


def _elsewhere(chosen: CandidateSummary, verdict: PathVerdict, other: PathVerdict) -> str:
    where = f"Cost on the {other.path} path"
    if verdict.chosen == other.chosen:
        return f"{where}: none, it is the choice there too."
    if verdict.cost is None:
        some = any(summary.values for summary in chosen.pipelines if summary.pipeline in other.pipelines)
        return f"{where}: not known, {'too few jobs' if some else 'no job'} succeeded there."
    subject = Subject("replies", plural=True) if other.path == "interactive" else Subject("a job")
    against = f'"{verdict.cost.against}"'
    if verdict.cost.relation in ("equivalent", "unresolved") and verdict.cost.n > 1:
        return f"{where}: {subject.against(verdict.cost)} to {against} ({ratio_inside(verdict.cost)})."
    text = f"{subject.takes(verdict.cost.ratio)} {than(verdict.cost.ratio)} {against}"
    return f"{where}: {text}{between(verdict.cost)}."
