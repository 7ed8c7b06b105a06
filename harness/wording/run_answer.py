"""The answer of a run, measured or predicted: one recommendation with its own numbers."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence, Sized

from harness.analysis.facts import BesideWork, LostRecords, Partial
from harness.analysis.goals import meets_goals
from harness.analysis.model import Alternative, Analysis
from harness.analysis.statistics import EQUIVALENCE, Comparison
from harness.core.records import PREDICTED, Path
from harness.runs.model import ServerFacts
from harness.units import seconds
from harness.wording.answer import WIDTH, Answer, AnswerLine, AnswerPart, part
from harness.wording.answer_table import answer_table, shown_time
from harness.wording.beside import faster_beside, runs_text
from harness.wording.differences import difference
from harness.wording.estimates import UNKNOWN, model_asked, rests_on
from harness.wording.figures import engine_name, listed, machine_text, quoted, repeats_text
from harness.wording.found_again import with_found_again
from harness.wording.goals import doubtful_goals, none_meets, why_goals
from harness.wording.manner import manner
from harness.wording.nobody import none_sentences
from harness.wording.open_differences import NOT_FASTER, open_questions, open_sentences, quicker, rivals
from harness.wording.predictions import HELD_OUT
from harness.wording.ratios import Subject, than, turned
from harness.wording.reloads import reloads_texts
from harness.wording.to_do import file_of, to_do
from harness.wording.verdicts import spilled, unmeasured
from harness.wording.warnings import warnings_of

__all__ = ["run_answer"]

_MOST_PARTS = 2  # of the time, in one sentence, beside one that goes the other way


def run_answer(analysis: Analysis, again: str = "", sure: Sequence[str] | None = None) -> Answer:
    """Return the answer of an analysis.

    Args:
        analysis: of a run.
        again: the command that shows more of it with `--full`, `--settings KIND`; "": not known.
        sure: what else says how sure it is, after the intervals; None: how it can be measured, or elsewhere.
    """
    again = again or "slotwise report DIR"
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
    more = _next(analysis) if sure is None else map(AnswerLine, sure)
    known = map(AnswerLine, _how_sure(analysis, name))
    beside = _contrast(analysis, name)
    other = None if beside is None else analysis.by_name[beside.candidate]
    parts = (
        part("Why", *with_found_again(tuple(_why(analysis, name)), analysis.by_name[name], other)),
        part("Instead", *_instead(analysis)),
        part("Loads", *reloads_texts(analysis.by_name[name].reloads)),
        AnswerPart("Do this", tuple(to_do(analysis, name, again))),
        AnswerPart("How sure", (*_resume(analysis), *known, *open_questions(analysis), *more)),
        _details(again),
    )
    kept = tuple(one for one in parts if one.lines)
    return Answer(warnings_of(analysis), _headline(analysis, name), basis_of(analysis), answer_table(analysis), kept)


def basis_of(analysis: Analysis) -> tuple[str, ...]:
    """Say which model on which engine and machine it is about, and where the numbers come from."""
    run = analysis.run
    models = dict.fromkeys(model.model for server in run.servers for model in server.models)
    models |= dict.fromkeys(_model(server) for server in run.servers if not server.models)
    model, engine = " + ".join(filter(None, models)), " + ".join(run.engines)
    origin = f"{run.origin}, {repeats_text(analysis)}"
    if run.origin in PREDICTED:  # on what the profile was made with, whatever the workload asks for
        facts = dict(run.machine)
        engine, origin = engine_name(str(facts.get("engine", engine))), run.origin
        model = str(facts.get("model", model))
    return tuple(text for text in (model, engine, machine_text(run), origin) if text)


def _model(server: ServerFacts) -> str:
    quantization = server.details.get("quantization")
    return f"{server.model} {quantization}" if quantization else server.model


# --- the first line ---------------------------------------------------------------------------------------------------


def _headline(analysis: Analysis, name: str) -> str:
    open_ones, candidate = rivals(analysis, unresolved=True), analysis.by_name[name]
    begin = "For now, " if open_ones or _once(analysis) or _unmeasured(analysis) else ""
    end = NOT_FASTER if len(candidate.servers) == 1 and quicker(analysis, open_ones) else ""
    paths = [(verdict.path, verdict.pipelines) for verdict in analysis.paths]
    for last in dict.fromkeys((end, "")):  # where there is no room for it, how to run it matters more
        how = begin + manner(candidate, paths, WIDTH - 1 - len(begin + last)) + last
        if len(how) < WIDTH:
            break
    return f"{how[0].upper()}{how[1:]}."


def _once(analysis: Analysis) -> bool:
    return any(verdict.standing == "one repeat" for verdict in analysis.paths)


def _unmeasured(analysis: Analysis) -> list[str]:
    """Return the candidates without a complete repeat, where others have some: the run was interrupted."""
    lacking = [candidate.name for candidate in analysis.candidates if not candidate.repeats]
    return lacking if len(lacking) < len(analysis.candidates) else []


# --- why, and what the others cost ------------------------------------------------------------------------------------


def _why(analysis: Analysis, name: str) -> Iterator[str]:
    kind, paths = analysis.choice.kind, analysis.paths
    if len(analysis.candidates) == 1:
        did = "predicted" if analysis.run.origin in PREDICTED else "measured"
        yield f"Only one way was {did}, so nothing was compared."
    elif len(_unmeasured(analysis)) == len(analysis.candidates) - 1:
        yield f'Only "{name}" has a complete repeat, so nothing was compared.'
    elif _once(analysis):
        yield f'"{name}" was the fastest in one repeat, which settles nothing.'
    elif open_ones := rivals(analysis, unresolved=True):
        yield from open_sentences(analysis, open_ones)
    elif equal := rivals(analysis, unresolved=False):
        yield f"It is equal to {quoted(equal)} within 5 %, and {faster_beside(analysis, equal) or 'the simplest'}."
    elif kind == "goals":
        yield why_goals(analysis, name, _on(analysis, "batch"))
    elif kind == "compromise":
        missed = none_meets(analysis)
        first = f"{missed}, and none" if missed else "No candidate"
        yield f"{first} is best on both paths. This one loses least on its worse path."
    elif kind == "both":
        yield "It is within 5 % of the fastest on both paths."
    elif kind == "same" and len(analysis.candidates) > 1:
        yield "It is the choice on both paths."
    over = [(name, verdict.pipelines) for verdict in paths for name in verdict.passed_over]
    if on_cpu := dict.fromkeys(name for name, mine in over if spilled(analysis.by_name[name], mine)):
        has = "has" if len(on_cpu) == 1 else "have"
        yield f"{_sentence(quoted(tuple(on_cpu)))} {has} layers on the CPU, so {_it(on_cpu)} excluded."
    if missing := dict.fromkeys(name for name, mine in over if unmeasured(analysis.by_name[name], mine)):
        yield f"{_sentence(quoted(tuple(missing)))} {'is' if len(missing) == 1 else 'are'} not measured."
    if lost := dict.fromkeys(name for name, _ in over if name not in on_cpu | missing):
        yield f"Jobs failed under {quoted(tuple(lost))}, so {_it(lost)} excluded."
    if analysis.gains is not None:
        yield from _gains(analysis)
        return
    if (other := _contrast(analysis, name)) is None or not other.relations & {"better", "worse"}:
        return
    # What is gained comes before what it costs.
    for path, found in sorted(((path, turned(c)) for path, c in other.comparisons), key=lambda pair: pair[1].ratio):
        yield _against(analysis, name, other.candidate, path, found)


def _it(names: Sized) -> str:
    return "it is" if len(names) == 1 else "they are"


def _against(analysis: Analysis, name: str, other: str, path: Path, found: Comparison) -> str:
    """Say how the recommended candidate stands against another one on a path, and by which parts of the time."""
    subject = _subject(analysis, path)
    if found.relation in ("equivalent", "unresolved") and found.n > 1:
        return _sentence(f'{subject.against(found)}, against "{other}".')
    text = f'{subject.against(found)} {than(found.ratio)} "{other}"'
    pipelines = next(verdict.pipelines for verdict in analysis.paths if verdict.path == path)
    parts = _parts(analysis, name, other, pipelines[0]) if len(pipelines) == 1 else ""
    return _sentence(f"{text}: {parts}." if parts else f"{text}.")


def _parts(analysis: Analysis, name: str, other: str, pipeline: str) -> str:
    """Name what makes the difference, where the parts of the time explain it."""
    found = difference(analysis.by_name[name], analysis.by_name[other], pipeline)
    if not found.agrees or not found.parts:
        return ""
    way, other = ("more", "less") if found.mean_s > 0 else ("less", "more")
    same = [part for part in found.parts if f" {way} " in part][:_MOST_PARTS]
    against = [part for part in found.parts if f" {other} " in part][:1]
    if not same:
        return ""
    return f"{listed(same)}{f', against {against[0]}' if against else ''}"


def _gains(analysis: Analysis) -> Iterator[str]:
    """Where pipelines are concurrency levels: what the fastest candidate gains at each over the simplest of all."""
    assert analysis.gains is not None
    grouped: dict[str, list[str]] = {}
    for level, best in analysis.gains.levels:
        if best.ratio < 1 and best.relation == "better":
            said = f'less time with "{best.candidate}" than with "{best.against}" ({(1 - best.ratio) * 100:.0f} % less)'
        elif best.ratio < 1 and best.relation == "unresolved":
            said = f'no measurable difference between "{best.candidate}" and "{best.against}"'
        else:
            said = f'more slots gain nothing over "{analysis.gains.simplest}"'
        grouped.setdefault(said, []).append(level)
    for said, levels in grouped.items():
        yield f"{listed(levels)}: {said}."


def _contrast(analysis: Analysis, name: str) -> Alternative | None:
    """Return the alternative that shows best why: what one would take instead, else one of the other kind (serial or
    batched), the nearest in time."""
    able = [a for a in analysis.choice.alternatives if a.comparisons]
    if better := _better(analysis):
        return next(a for a in able if a.candidate == next(iter(better)))
    if open_ones := [a for a in able if a.candidate in rivals(analysis, unresolved=True)]:
        return min(open_ones, key=lambda a: math.prod(comparison.ratio for _, comparison in a.comparisons))
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
    able = {a.candidate: dict(a.comparisons) for a in analysis.choice.alternatives if a.comparisons}
    best, beside = _better(analysis), tuple(_beside_work(analysis))
    yield from beside
    for name, path in best.items():
        gain = _instead_of(analysis, name, path)
        costs = [_instead_of(analysis, name, other) for other in able[name] if other != path]
        joined = "but" if "worse" in {found.relation for found in able[name].values()} else "and"
        cost = f", {joined} {listed(costs)}" if costs else ""
        loses = ", and you can give up the goal" if _misses(analysis, name) else ""
        yield f'"{name}": {gain}{cost}. Choose it if {_on(analysis, path)} matters more{loses}.'
    if best or beside or analysis.gains is not None:
        return
    worse = [
        (max(found.ratio for found in comparisons.values()), name)
        for name, comparisons in able.items()
        if "worse" in {found.relation for found in comparisons.values()}
    ]
    for _, name in sorted(worse)[:1]:
        costs = [_instead_of(analysis, name, path) for path in able[name]]
        measurably = "measurably " if rivals(analysis, unresolved=True) else ""
        yield f'Nothing is {measurably}faster. With "{name}" {listed(costs)}.'


def _beside_work(analysis: Analysis) -> Iterator[str]:
    """Say which candidate is faster beside batch jobs, where the median over all replies hides that."""
    mine = [one for one in analysis.notices if isinstance(one, BesideWork)]
    for one in (one for one in mine if one.candidate == analysis.choice.candidate):
        if one.best_s * EQUIVALENCE < one.beside_s:
            times = f"{seconds(one.best_s)} instead of {seconds(one.beside_s)}"
            take = f"{one.pipeline} replies take {times}"
            yield f'"{one.best}": while {runs_text(one)}, {take}. Choose it if that matters.'


def _instead_of(analysis: Analysis, name: str, path: Path) -> str:
    """Write a candidate's time of a path beside the recommended one's; a ratio where the path has several pipelines."""
    alternative = next(a for a in analysis.choice.alternatives if a.candidate == name)
    found, subject = dict(alternative.comparisons)[path], _subject(analysis, path)
    pipelines = next(verdict.pipelines for verdict in analysis.paths if verdict.path == path)
    mine, theirs = (_time(analysis, candidate, pipelines[0]) for candidate in (found.against, name))
    if len(pipelines) > 1 or mine is None or theirs is None or found.relation in ("equivalent", "unresolved"):
        return subject.against(found)
    return f"{subject.text} {'take' if subject.plural else 'takes'} {seconds(theirs)} instead of {seconds(mine)}"


def _time(analysis: Analysis, name: str, pipeline: str) -> float | None:
    """Return the time that the table shows."""
    summary = next(s for s in analysis.by_name[name].pipelines if s.pipeline == pipeline)
    return shown_time(summary)


def _misses(analysis: Analysis, name: str) -> bool:
    """Tell whether a candidate misses a goal that the recommended one meets."""
    recommended = analysis.by_name[analysis.choice.candidate or ""]
    return bool(meets_goals(recommended)) and not meets_goals(analysis.by_name[name])


# --- how sure ---------------------------------------------------------------------------------------------------------


def _how_sure(analysis: Analysis, name: str) -> Iterator[str]:
    run, facts = analysis.run, dict(analysis.run.machine)
    if run.origin in PREDICTED:
        yield rests_on(run.origin, facts.get(HELD_OUT), model_asked(one.model for one in run.servers))
    elif run.origin == "emulated":
        yield "Emulated: the servers were simulated. No engine was measured."
    if _once(analysis):
        yield "One repeat settles nothing. At least 5 give a verdict (--repeats 5)."
    elif other := _contrast(analysis, name):
        found = [text for path, c in other.comparisons if (text := _sure(analysis, path, turned(c)))]
        said = f", {'; '.join(found)} (95 % intervals)" if found else f": {UNKNOWN}"
        if other.comparisons:
            yield f'Against "{other.candidate}"{said}.'
    yield from doubtful_goals(analysis.by_name[name])


def _resume(analysis: Analysis) -> Iterator[AnswerLine]:
    """Say how to measure what is missing."""
    for notice in analysis.notices:
        if isinstance(notice, Partial | LostRecords) and notice.resume is not None:
            yield AnswerLine(
                f"slotwise run --resume {shlex.quote(notice.resume)}  # measures what is missing", code=True
            )
            return


def _next(analysis: Analysis) -> Iterator[AnswerLine]:
    """Say how to find out more."""
    run = analysis.run
    if run.origin in PREDICTED:
        yield AnswerLine(f"To measure it: slotwise run {file_of(run.command)}")
    elif "llama.cpp" in run.engines:
        yield AnswerLine("Measured with llama.cpp itself. On your Ollama:")
        yield AnswerLine(f"slotwise run {file_of(run.command)} --engine ollama --model NAME", code=True)
    else:
        yield AnswerLine("Another model, engine or machine may change this.")


def _sure(analysis: Analysis, path: Path, found: Comparison) -> str:
    subject = _subject(analysis, path)
    return subject.against(found) if found.relation == "equivalent" else subject.takes_between(found)


def _details(again: str) -> AnswerPart:
    return AnswerPart("Details", (AnswerLine(f"{again} --full", code=True),))


# --- names ------------------------------------------------------------------------------------------------------------


def _on(analysis: Analysis, path: Path) -> str:
    """Name what a path is about: its pipelines, or the path where these are many."""
    verdict = next(verdict for verdict in analysis.paths if verdict.path == path)
    return listed(verdict.pipelines) if len(verdict.pipelines) <= 2 else f"the {path} path"


def _subject(analysis: Analysis, path: Path) -> Subject:
    """Name what takes time on a path."""
    pipelines = next(verdict.pipelines for verdict in analysis.paths if verdict.path == path)
    one = pipelines[0] if len(pipelines) == 1 else ""
    if path == "interactive":
        return Subject(f"{one} replies" if one else "replies", plural=True)
    article = "an" if one[:1].lower() in tuple("aeiou") else "a"
    return Subject(f"{article} {one} job" if one else "the batch path")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
