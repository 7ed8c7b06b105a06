"""What is said where the recommended candidate is the simplest of several whose differences are not settled yet.

The table shows means, and by these another candidate may be quicker: a reader must not wonder why it is not taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from harness.analysis.model import Analysis
from harness.core.records import PREDICTED
from harness.units import about
from harness.wording.answer import AnswerLine
from harness.wording.beside import faster_beside
from harness.wording.estimates import NOT_RESOLVABLE, too_uncertain
from harness.wording.figures import quoted
from harness.wording.questions import at_most_text
from harness.wording.to_do import file_of

__all__ = ["NOT_FASTER", "open_questions", "open_sentences", "quicker", "rivals"]

NOT_FASTER = "; nothing is measurably faster"
_SHOWN = 0.995  # of a time: what is closer looks the same in a table


def rivals(analysis: Analysis, *, unresolved: bool) -> list[str]:
    """Return the candidates that are neither better nor worse than the recommended one on any path."""
    tied = [a for a in analysis.choice.alternatives if a.relations and not a.relations & {"better", "worse"}]
    return [a.candidate for a in tied if ("unresolved" in a.relations) == unresolved]


def quicker(analysis: Analysis, names: Collection[str]) -> list[str]:
    """Return which of these candidates are quicker than the recommended one on a path, by their means."""
    return [
        one.candidate
        for one in analysis.choice.alternatives
        if one.candidate in names and any(comparison.ratio < _SHOWN for _, comparison in one.comparisons)
    ]


def open_sentences(analysis: Analysis, names: Collection[str]) -> Iterator[str]:
    """Say that it is open how these candidates compare with the recommended one, what leaves it open, and why this one.

    Args:
        analysis: of all of them.
        names: those of `rivals`.
    """
    by_profile = any(
        comparison.unresolved_by == "profile"
        for one in analysis.choice.alternatives
        if one.candidate in names
        for _, comparison in one.comparisons
    )
    named = quoted(list(names)).replace(" and ", " or ")
    open_ = f"No difference from {named} is measurable yet"
    if by_profile and analysis.run.origin == "estimated":
        open_ = f"{NOT_RESOLVABLE} whether {named} is faster"
    yield f"{open_}, and {faster_beside(analysis, names) or 'this is the simplest of these'}."
    if faster := quicker(analysis, names):
        why = "an error of the profile" if by_profile else "chance"
        verb = "is" if len(faster) == 1 else "are"
        yield f"By the means in the table {quoted(faster)} {verb} quicker, which may be {why}."


def open_questions(analysis: Analysis) -> Iterator[AnswerLine]:
    """Say what would resolve the question whether the recommended candidate ties with others, and how long it takes."""
    tied = set(rivals(analysis, unresolved=True))
    found = [
        comparison
        for one in analysis.choice.alternatives
        for _, comparison in one.comparisons
        if one.candidate in tied and comparison.relation == "unresolved" and comparison.n > 1
    ]
    if not found:
        return
    run = analysis.run
    if any(comparison.unresolved_by == "profile" for comparison in found):
        yield AnswerLine(too_uncertain(run.origin))
    elif any(comparison.repeats_needed is None for comparison in found):
        yield AnswerLine("Not even 1000 repeats would resolve this.")
    else:
        needed = max(comparison.repeats_needed or 0 for comparison in found)
        makespans = [candidate.makespan.value for candidate in analysis.candidates if candidate.makespan]
        if run.origin in PREDICTED or not makespans:
            yield AnswerLine(f"About {needed} repeats would resolve this (--repeats {needed}).")
            return
        took_s = needed * sum(makespans)
        yield AnswerLine(f"About {needed} repeats of each would resolve this, in {about(took_s)}:")
        at_most = at_most_text(took_s)
        yield AnswerLine(f"slotwise run {file_of(run.command)} --until resolved --at-most {at_most}", code=True)
