"""The answer of a run, measured or predicted: one recommendation with its own numbers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.model import Alternative, Analysis, CandidateSummary
from harness.analysis.statistics import Comparison, Estimate
from harness.analysis.timesplit import Parts
from harness.core.records import Path
from harness.runs.model import ServerFacts
from harness.units import about, count, seconds
from harness.wording.answer import WIDTH, Answer, AnswerLine, AnswerPart, part
from harness.wording.answer_table import answer_table
from harness.wording.figures import PART_LABELS, listed, machine_text, quoted
from harness.wording.manner import manner
from harness.wording.predictions import HELD_OUT
from harness.wording.questions import at_most_text
from harness.wording.ratios import Subject, turned
from harness.wording.warnings import warnings_of

__all__ = ["run_answer"]

_WORTH_NAMING = 0.02  # of the pipeline time: smaller differences of a part explain nothing
_MOST_PARTS = 2  # of the time, in one sentence
_MOST_COMMANDS = 2  # servers whose commands are shown


def run_answer(analysis: Analysis, again: str = "") -> Answer:
    """Return the answer of an analysis.

    Args:
        again: the command that shows more of it with `--full`, `--settings KIND`; "": the command of the run.
    """
    again = again or analysis.run.command or "slotwise report DIR"
    name = analysis.choice.candidate
    if name is None:
        return Answer(
            warnings_of(analysis),
            "No candidate can be recommended: of none did every pipeline end well.",
            basis_of(analysis),
            answer_table(analysis),
            (part("Do this", "Read the notes, mend what failed, and measure again."), _details(again)),
        )
    parts = (
        AnswerPart("Why", tuple(map(AnswerLine, _why(analysis, name)))),
        AnswerPart("Instead", tuple(map(AnswerLine, _instead(analysis)))),
        AnswerPart("Do this", tuple(_do(analysis, name, again))),
        AnswerPart("How sure", tuple(map(AnswerLine, _how_sure(analysis, name)))),
        _details(again),
    )
    kept = tuple(one for one in parts if one.lines)
    return Answer(warnings_of(analysis), _headline(analysis, name), basis_of(analysis), answer_table(analysis), kept)


def basis_of(analysis: Analysis) -> tuple[str, ...]:
    """Say which model on which engine and machine it is about, and where the numbers come from."""
    run = analysis.run
    models = dict.fromkeys(model.model for server in run.servers for model in server.models)
    models |= dict.fromkeys(_model(server) for server in run.servers if not server.models)
    profile = dict(run.machine).get("profile")
    origin = f"predicted on profile {profile}" if run.origin == "predicted" and profile else run.origin
    repeats = count(run.repeats, "repeat")
    found = (" + ".join(filter(None, models)), " + ".join(run.engines), machine_text(run), f"{origin}, {repeats}")
    return tuple(text for text in found if text)


def _model(server: ServerFacts) -> str:
    quantization = server.details.get("quantization")
    return f"{server.model} {quantization}" if quantization else server.model


# --- the first line ---------------------------------------------------------------------------------------------------


def _headline(analysis: Analysis, name: str) -> str:
    begin = "For now, " if _rivals(analysis, unresolved=True) or _once(analysis) else ""
    paths = [(verdict.path, verdict.pipelines) for verdict in analysis.paths]
    how = begin + manner(analysis.by_name[name], paths, WIDTH - 1 - len(begin))
    return f"{how[0].upper()}{how[1:]}."


def _once(analysis: Analysis) -> bool:
    return any(verdict.standing == "one repeat" for verdict in analysis.paths)


def _rivals(analysis: Analysis, *, unresolved: bool) -> list[str]:
    """Return the candidates that are neither better nor worse than the recommended one on any path."""
    tied = [a for a in analysis.choice.alternatives if a.relations and not a.relations & {"better", "worse"}]
    return [a.candidate for a in tied if ("unresolved" in a.relations) == unresolved]


# --- why, and what the others cost ------------------------------------------------------------------------------------


def _why(analysis: Analysis, name: str) -> Iterator[str]:
    kind, paths = analysis.choice.kind, analysis.paths
    if _once(analysis) and len(analysis.candidates) > 1:
        yield f'"{name}" was the fastest in one repeat, which settles nothing.'
    elif open_ones := _rivals(analysis, unresolved=True):
        yield f"No difference to {_or(open_ones)} is measurable yet, and this is the simplest."
    elif equal := _rivals(analysis, unresolved=False):
        yield f"It is equal to {quoted(equal)} within 5 %, and the simplest."
    elif kind == "goals":
        tie = analysis.choice.tie
        best = f'as fast as "{tie.against}", and simpler' if tie else "the fastest"
        yield f"Of those that meet the goals, {best} on {_on(analysis, 'batch')}."
    elif kind == "compromise":
        missed = any(goal.state == "missed" for c in analysis.candidates for s in c.pipelines for goal in s.goals)
        first = "No candidate meets every goal, and none" if missed else "No candidate"
        yield f"{first} is best on both paths. This one's largest slowdown is the smallest."
    elif kind == "both":
        yield "Within 5 % of the fastest on both paths."
    elif kind == "same" and len(analysis.candidates) > 1:
        yield "The choice on both paths."
    if analysis.gains is not None:
        yield from _gains(analysis)
        return
    other = _contrast(analysis, name)
    if other is None or not other.relations & {"better", "worse"}:
        return
    mine, theirs = analysis.by_name[name], analysis.by_name[other.candidate]
    for path, comparison in other.comparisons:
        pipelines = next(verdict.pipelines for verdict in paths if verdict.path == path)
        parts = _parts(mine, theirs, pipelines[0]) if len(pipelines) == 1 else ""
        if comparison.relation in ("equivalent", "unresolved") and comparison.n > 1:
            yield _sentence(f'{_change(analysis, path, turned(comparison))} to "{other.candidate}".')
        else:
            text = f'{_change(analysis, path, turned(comparison))} {_than(comparison)} "{other.candidate}"'
            yield _sentence(f"{text}: {parts}." if parts else f"{text}.")


def _gains(analysis: Analysis) -> Iterator[str]:
    """Where pipelines are concurrency levels: what the fastest candidate gains at each over the simplest of all."""
    assert analysis.gains is not None
    grouped: dict[str, list[str]] = {}
    for level, best in analysis.gains.levels:
        if best.ratio < 1 and best.relation == "better":
            said = f'less time with "{best.candidate}" than with "{best.against}" ({_percent_less(best.ratio)})'
        elif best.ratio < 1 and best.relation == "unresolved":
            said = f'no measurable difference between "{best.candidate}" and "{best.against}"'
        else:
            said = f'more slots gain nothing over "{analysis.gains.simplest}"'
        grouped.setdefault(said, []).append(level)
    for said, levels in grouped.items():
        yield f"{listed(levels)}: {said}."


def _percent_less(ratio: float) -> str:
    return f"{(1 - ratio) * 100:.0f} % less"


def _contrast(analysis: Analysis, name: str) -> Alternative | None:
    """Return the alternative that shows best why: of the other kind (serial or batched), the nearest in time."""
    able = [a for a in analysis.choice.alternatives if a.comparisons]
    every = tuple(pipeline for verdict in analysis.paths for pipeline in verdict.pipelines)
    batched = analysis.by_name[name].batches(every)
    unlike = [a for a in able if analysis.by_name[a.candidate].batches(every) != batched]

    def far(alternative: Alternative) -> float:
        ratios = [comparison.ratio for _, comparison in alternative.comparisons]
        return max(max(ratio, 1 / ratio) for ratio in ratios)

    return min(unlike or able, key=far, default=None)


def _than(comparison: Comparison) -> str:
    """Return what follows `takes 58 % longer`, `takes 2.1x as long`, `is 3.0x faster`."""
    ratio = 1 / comparison.ratio
    return "as with" if ratio >= 2 or round(abs(ratio - 1) * 100) == 0 else "than with"


def _parts(mine: CandidateSummary, theirs: CandidateSummary, pipeline: str) -> str:
    """Name the parts of the time that differ most, where their sum goes the way that the medians go."""
    first, second = _job_parts(mine, pipeline), _job_parts(theirs, pipeline)
    changes = {kind: first[kind] - second[kind] for kind in first}
    total_s, mean_s = max(sum(first.values()), sum(second.values())), sum(changes.values())
    if mean_s * _median_change(mine, theirs, pipeline) <= 0:
        return ""
    named = sorted(changes, key=lambda kind: -abs(changes[kind]))
    told = [
        f"{seconds(abs(changes[kind]))} {'less' if changes[kind] < 0 else 'more'} {kind}"
        for kind in named[:_MOST_PARTS]
        if abs(changes[kind]) >= _WORTH_NAMING * total_s
    ]
    return listed(told) if told else ""


def _median_change(one: CandidateSummary, other: CandidateSummary, pipeline: str) -> float:
    mine, theirs = (next((s.time for s in c.pipelines if s.pipeline == pipeline), None) for c in (one, other))
    return 0.0 if mine is None or theirs is None else mine.value - theirs.value


def _job_parts(candidate: CandidateSummary, pipeline: str) -> dict[str, float]:
    """Parts along the critical path by words; the waits for a turn are one, wherever the queue is."""
    parts = next((s.job_parts for s in candidate.pipelines if s.pipeline == pipeline), Parts())
    waits = parts.router_wait_s + parts.throttle_wait_s + parts.queue_wait_s
    rest = {PART_LABELS[field]: seconds_ for field, seconds_ in parts._asdict().items() if "wait" not in field}
    return {"waiting for its turn": waits, **rest}


def _instead(analysis: Analysis) -> Iterator[str]:
    """Say what another candidate would gain on a path, and what it would cost on the other."""
    able = [a for a in analysis.choice.alternatives if a.comparisons]
    best: dict[str, Path] = {}
    for verdict in analysis.paths:
        faster = [
            (dict(a.comparisons)[verdict.path].ratio, a.candidate)
            for a in able
            if verdict.path in dict(a.comparisons) and dict(a.comparisons)[verdict.path].relation == "better"
        ]
        if faster:
            best.setdefault(min(faster)[1], verdict.path)
    for name, path in best.items():
        comparisons = dict(next(a.comparisons for a in able if a.candidate == name))
        gain = _change(analysis, path, comparisons[path])
        costs = [_change(analysis, other, found) for other, found in comparisons.items() if other != path]
        cost = f", but {listed(costs)}" if costs else ""
        yield f'With "{name}" {gain}{cost}. Choose it if {_on(analysis, path)} matters more.'
    if best:
        return
    worse = [a for a in able if "worse" in a.relations]
    for alternative in sorted(worse, key=lambda a: max(found.ratio for _, found in a.comparisons)):
        changes = [_change(analysis, path, found) for path, found in alternative.comparisons]
        yield f'With "{alternative.candidate}" {listed(changes)}.'


def _change(analysis: Analysis, path: Path, found: Comparison) -> str:
    subject = _subject(analysis, path)
    if found.relation == "equivalent":
        return f"{subject.text}: equal within 5 %"
    if found.relation == "unresolved" and found.n > 1:
        return f"{subject.text}: no measurable difference"
    return subject.takes(found.ratio)


# --- what to do -------------------------------------------------------------------------------------------------------


def _do(analysis: Analysis, name: str, again: str) -> Iterator[AnswerLine]:
    settings = next((one for one in analysis.choice.settings if one.candidate == name), None)
    if settings is None:
        return
    servers = analysis.by_name[name].servers
    if len(settings.shell) > _MOST_COMMANDS:
        yield AnswerLine(f"{again} --settings serve  # {len(servers)} commands", code=True)
    else:
        yield from (AnswerLine(line, code=True) for line in settings.shell)
    if placed := next((remark for remark in settings.remarks if remark.startswith("Send ")), None):
        yield AnswerLine(placed)
    if any(use.limit is not None and (use.slots > 1 or use.key is not None or use.limit > 1) for use in servers):
        yield AnswerLine(f"{again} --settings asyncio  # its limits as code", code=True)


# --- how sure ---------------------------------------------------------------------------------------------------------


def _how_sure(analysis: Analysis, name: str) -> Iterator[str]:
    run = analysis.run
    if run.origin == "predicted":
        error = dict(run.machine).get(HELD_OUT)
        known = f"Held-out error of the profile: {error}." if error else ""
        yield f"Predicted, not measured. {known}".rstrip()
    elif run.origin == "emulated":
        yield "Emulated: the servers were simulated. No engine was measured."
    if _once(analysis):
        yield "From one repeat nothing can be told. At least 5 give a verdict (--repeats 5)."
    elif other := _contrast(analysis, name):
        found = [text for path, c in other.comparisons if (text := _sure(analysis, path, turned(c)))]
        if found:
            yield f'Against "{other.candidate}", {"; ".join(found)} (95 % intervals).'
    yield from _open_questions(analysis)
    yield from _unsure_goals(analysis.by_name[name])
    if run.origin == "predicted":
        yield f"Measure it to be sure: slotwise run {_file(run.command)}"
    elif "llama.cpp" in run.engines:
        yield f"Another model, engine or machine may change it: slotwise run {_file(run.command)} --engine ollama"
    else:
        yield "Another model, engine or machine may change it."


def _sure(analysis: Analysis, path: Path, found: Comparison) -> str:
    subject = _subject(analysis, path)
    return f"{subject.text} equal within 5 %" if found.relation == "equivalent" else subject.takes_between(found)


def _open_questions(analysis: Analysis) -> Iterator[str]:
    """Say what would resolve the question whether the recommended candidate ties with others, and how long it takes."""
    tied = set(_rivals(analysis, unresolved=True))
    found = [
        comparison
        for alternative in analysis.choice.alternatives
        for _, comparison in alternative.comparisons
        if alternative.candidate in tied and comparison.relation == "unresolved" and comparison.n > 1
    ]
    if not found:
        return
    if any(comparison.unresolved_by == "profile" for comparison in found):
        yield "More repeats do not help: the profile is too uncertain. `slotwise calibrate --thorough` or a run does."
    elif any(comparison.repeats_needed is None for comparison in found):
        yield "Not even 1000 repeats would resolve this."
    else:
        needed = max(comparison.repeats_needed or 0 for comparison in found)
        makespans = [candidate.makespan.value for candidate in analysis.candidates if candidate.makespan]
        took, offered = "", f"--repeats {needed}"
        if analysis.run.origin != "predicted" and makespans:
            took_s = needed * sum(makespans)
            took, offered = f": {about(took_s)}", f"--until resolved --at-most {at_most_text(took_s)}"
        yield f"About {needed} repeats would resolve this{took} ({offered})."


def _unsure_goals(candidate: CandidateSummary) -> Iterator[str]:
    for summary in candidate.pipelines:
        for goal in summary.goals:
            estimate: Mapping[str, Estimate | None] = {"first_token_s": summary.first_token, "p50_s": summary.time}
            found = estimate.get(goal.goal)
            ends = [found.interval, found.profile_interval] if found else []
            for low, high in filter(None, ends):
                if low < goal.wanted_s < high:
                    between = f"{seconds(low)} to {seconds(high)}"
                    yield f"Whether {summary.pipeline} meets its goal is not certain: {between}."
                    break


def _file(command: str) -> str:
    """Return the workload's file as it was typed, or FILE."""
    try:
        words = shlex.split(command)
    except ValueError:
        return "FILE"
    return next((shlex.quote(word) for word in words if word.endswith((".yaml", ".yml"))), "FILE")


def _details(again: str) -> AnswerPart:
    return AnswerPart("Details", (AnswerLine(f"{again} --full", code=True),))


# --- names ------------------------------------------------------------------------------------------------------------


def _on(analysis: Analysis, path: Path) -> str:
    """Name what a path is about: its pipelines, or the path where these are many."""
    verdict = next(verdict for verdict in analysis.paths if verdict.path == path)
    return listed(verdict.pipelines) if len(verdict.pipelines) <= 2 else f"the {path} path"


def _subject(analysis: Analysis, path: Path) -> Subject:
    """Name what takes time on a path."""
    verdict = next(verdict for verdict in analysis.paths if verdict.path == path)
    if path == "interactive":
        whose = f"{listed(verdict.pipelines)} " if len(verdict.pipelines) <= 2 else ""
        return Subject(f"{whose}replies", plural=True)
    return Subject(_on(analysis, path), plural=len(verdict.pipelines) == 2)


def _or(names: Sequence[str]) -> str:
    return quoted(names).replace(" and ", " or ")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] if text.startswith("the ") else text
