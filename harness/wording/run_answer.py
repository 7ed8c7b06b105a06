"""The answer of a run, measured or predicted: one recommendation with its own numbers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.model import Alternative, Analysis, CandidateSummary
from harness.analysis.statistics import Comparison, Estimate
from harness.core.records import Path
from harness.runs.model import ServerFacts
from harness.units import about, count, seconds
from harness.wording.answer import WIDTH, Answer, AnswerLine, AnswerPart, part
from harness.wording.answer_table import answer_table
from harness.wording.differences import difference
from harness.wording.figures import listed, machine_text, quoted
from harness.wording.manner import manner
from harness.wording.nobody import none_sentences
from harness.wording.predictions import HELD_OUT
from harness.wording.questions import at_most_text
from harness.wording.ratios import Subject, than, turned
from harness.wording.verdicts import spilled
from harness.wording.warnings import warnings_of

__all__ = ["run_answer"]

_MOST_PARTS = 2  # of the time, in one sentence
_MOST_COMMANDS = 2  # servers whose commands are shown


def run_answer(analysis: Analysis, again: str = "", sure: Sequence[str] | None = None) -> Answer:
    """Return the answer of an analysis.

    Args:
        analysis: of a run.
        again: the command that shows more of it with `--full`, `--settings KIND`; "": not known, or this same one.
        sure: what else says how sure it is, after the intervals; None: how it can be measured, or elsewhere.
    """
    again = again or ("" if analysis.run.origin == "predicted" else "slotwise report DIR")
    name = analysis.choice.candidate
    if name is None:
        first, *reasons = none_sentences(analysis)
        return Answer(
            warnings_of(analysis),
            first,
            basis_of(analysis),
            answer_table(analysis),
            tuple(one for one in (part("Why", *reasons), _details(again)) if one.lines),
        )
    parts = (
        part("Why", *_why(analysis, name)),
        part("Instead", *_instead(analysis)),
        AnswerPart("Do this", tuple(_do(analysis, name, again))),
        AnswerPart(
            "How sure",
            tuple(map(AnswerLine, (*_how_sure(analysis, name), *(_next(analysis) if sure is None else sure)))),
        ),
        _details(again),
    )
    kept = tuple(one for one in parts if one.lines)
    return Answer(warnings_of(analysis), _headline(analysis, name), basis_of(analysis), answer_table(analysis), kept)


def basis_of(analysis: Analysis) -> tuple[str, ...]:
    """Say which model on which engine and machine it is about, and where the numbers come from."""
    run = analysis.run
    models = dict.fromkeys(model.model for server in run.servers for model in server.models)
    models |= dict.fromkeys(_model(server) for server in run.servers if not server.models)
    origin = run.origin if run.origin == "predicted" else f"{run.origin}, {count(run.repeats, 'repeat')}"
    found = (" + ".join(filter(None, models)), " + ".join(run.engines), machine_text(run), origin)
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
        if analysis.choice.tie is None:
            yield f"Of those that meet the goals, the fastest on {_on(analysis, 'batch')}."
        else:
            yield f"It meets the goals, and none that does is measurably faster on {_on(analysis, 'batch')}."
    elif kind == "compromise":
        missed = any(goal.state == "missed" for c in analysis.candidates for s in c.pipelines for goal in s.goals)
        first = "No candidate meets every goal, and none" if missed else "No candidate"
        yield f"{first} is best on both paths. This one's largest slowdown is the smallest."
    elif kind == "both":
        yield "Within 5 % of the fastest on both paths."
    elif kind == "same" and len(analysis.candidates) > 1:
        yield "The choice on both paths."
    over = [(name, verdict.pipelines) for verdict in paths for name in verdict.passed_over]
    if on_cpu := dict.fromkeys(name for name, mine in over if spilled(analysis.by_name[name], mine)):
        yield f"{quoted(tuple(on_cpu))} {'has' if len(on_cpu) == 1 else 'have'} layers on the CPU: passed over."
    if lost := dict.fromkeys(name for name, _ in over if name not in on_cpu):
        yield f"Jobs failed under {quoted(tuple(lost))}, so {'it is' if len(lost) == 1 else 'they are'} passed over."
    if analysis.gains is not None:
        yield from _gains(analysis)
        return
    other = _contrast(analysis, name)
    if other is None or not other.relations & {"better", "worse"}:
        return
    mine, theirs = analysis.by_name[name], analysis.by_name[other.candidate]
    for path, comparison in other.comparisons:
        pipelines = next(verdict.pipelines for verdict in paths if verdict.path == path)
        differs = difference(mine, theirs, pipelines[0]) if len(pipelines) == 1 else None
        parts = listed(differs.parts[:_MOST_PARTS]) if differs and differs.agrees and differs.parts else ""
        if comparison.relation in ("equivalent", "unresolved") and comparison.n > 1:
            yield _sentence(f'{_subject(analysis, path).against(turned(comparison))} to "{other.candidate}".')
        else:
            found = turned(comparison)
            text = f'{_subject(analysis, path).against(found)} {than(found.ratio)} "{other.candidate}"'
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
    """Return the alternative that shows best why: what one would take instead, else one of the other kind (serial or
    batched), the nearest in time."""
    able = [a for a in analysis.choice.alternatives if a.comparisons]
    if better := _better(analysis):
        return next(a for a in able if a.candidate == next(iter(better)))
    every = tuple(pipeline for verdict in analysis.paths for pipeline in verdict.pipelines)
    batched = analysis.by_name[name].batches(every)
    unlike = [a for a in able if analysis.by_name[a.candidate].batches(every) != batched]

    def far(alternative: Alternative) -> float:
        ratios = [comparison.ratio for _, comparison in alternative.comparisons]
        return max(max(ratio, 1 / ratio) for ratio in ratios)

    return min(unlike or able, key=far, default=None)


def _better(analysis: Analysis) -> dict[str, Path]:
    """Return what is faster than the recommended candidate on a path: the fastest on each, with that path."""
    best: dict[str, Path] = {}
    for verdict in analysis.paths:
        faster = [
            (comparison.ratio, a.candidate)
            for a in analysis.choice.alternatives
            for path, comparison in a.comparisons
            if path == verdict.path and comparison.relation == "better"
        ]
        if faster:
            best.setdefault(min(faster)[1], verdict.path)
    return best


def _instead(analysis: Analysis) -> Iterator[str]:
    """Say what another candidate would gain on a path, and what it would cost on the other."""
    able = [a for a in analysis.choice.alternatives if a.comparisons]
    best = _better(analysis)
    for name, path in best.items():
        comparisons = dict(next(a.comparisons for a in able if a.candidate == name))
        gain = _subject(analysis, path).against(comparisons[path])
        costs = [_subject(analysis, other).against(found) for other, found in comparisons.items() if other != path]
        joined = "but" if "worse" in {found.relation for found in comparisons.values()} else "and"
        cost = f", {joined} {listed(costs)}" if costs else ""
        yield f'With "{name}" {gain}{cost}. Choose it if {_on(analysis, path)} matters more.'
    if best:
        return
    worse = [a for a in able if "worse" in a.relations]
    for alternative in sorted(worse, key=lambda a: max(found.ratio for _, found in a.comparisons)):
        changes = [_subject(analysis, path).against(found) for path, found in alternative.comparisons]
        yield f'With "{alternative.candidate}" {listed(changes)}.'


# --- what to do -------------------------------------------------------------------------------------------------------


def _do(analysis: Analysis, name: str, again: str) -> Iterator[AnswerLine]:
    settings = next((one for one in analysis.choice.settings if one.candidate == name), None)
    if settings is None:
        return
    servers = analysis.by_name[name].servers
    if len(settings.shell) > _MOST_COMMANDS:
        yield _more(again, "--settings serve", f"prints the commands of the {len(servers)} servers")
    else:
        yield from (AnswerLine(line, code=True) for line in settings.shell)
    if placed := next((remark for remark in settings.remarks if remark.startswith("Send ")), None):
        yield AnswerLine(placed)
    if any(use.limit is not None and (use.slots > 1 or use.key is not None or use.limit > 1) for use in servers):
        yield _more(again, "--settings asyncio", "prints its limits as code")


# --- how sure ---------------------------------------------------------------------------------------------------------


def _how_sure(analysis: Analysis, name: str) -> Iterator[str]:
    run, facts = analysis.run, dict(analysis.run.machine)
    if _once(analysis):
        yield "From one repeat nothing can be told. At least 5 give a verdict (--repeats 5)."
    elif other := _contrast(analysis, name):
        found = [text for path, c in other.comparisons if (text := _sure(analysis, path, turned(c)))]
        if found:
            yield f'Against "{other.candidate}", {"; ".join(found)} (95 % intervals).'
    if run.origin == "predicted":
        error = facts.get(HELD_OUT, "not known")
        yield f"Predicted. Held-out error of profile {facts.get('profile', '')}: {error}."
    elif run.origin == "emulated":
        yield "Emulated: the servers were simulated. No engine was measured."
    yield from _open_questions(analysis)
    yield from _unsure_goals(analysis.by_name[name])


def _next(analysis: Analysis) -> Iterator[str]:
    run = analysis.run
    if run.origin == "predicted":
        yield f"Measure it to be sure: slotwise run {_file(run.command)}"
    elif "llama.cpp" in run.engines:
        yield f"Another model, engine or machine may change it: slotwise run {_file(run.command)} --engine ollama"
    else:
        yield "Another model, engine or machine may change it."


def _sure(analysis: Analysis, path: Path, found: Comparison) -> str:
    subject = _subject(analysis, path)
    return subject.against(found) if found.relation == "equivalent" else subject.takes_between(found)


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
        yield "The profile is too uncertain for more repeats to help. A run does, or `slotwise calibrate --thorough`."
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
    return AnswerPart("Details", (_more(again, "--full", "prints all that this rests on"),))


def _more(again: str, option: str, what: str) -> AnswerLine:
    """Return a command with an option; where the command is the one that was typed, a sentence about the option."""
    return AnswerLine(f"{again} {option}", code=True) if again else AnswerLine(f"This command with {option} {what}.")


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
