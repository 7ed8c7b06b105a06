"""The answer of a search: that of its finalists, with how many ways were looked at and what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from harness.recommend.facts import NotPredicted
from harness.recommend.model import Recommendation
from harness.units import count, percent
from harness.wording.answer import Answer, part
from harness.wording.own_policies import own_line
from harness.wording.recommendations import change_text, note_text
from harness.wording.run_answer import run_answer

__all__ = ["search_answer"]


def search_answer(found: Recommendation, again: str = "") -> Answer:
    """Return the answer; `again` is the command that shows more of it with `--full`, `--settings KIND`."""
    confirmation = found.confirmation
    analysis = confirmation.analysis if confirmation else found.analysis
    answer = run_answer(analysis, again, tuple(_sure(found)))
    # What is missing is a warning of its own.
    notes = (note_text(note) for note in found.notes if not isinstance(note, NotPredicted))
    compared = sum(one.title in ("Why", "Instead") for one in answer.parts)
    yours = part("Yours", *(own_line(own, found.paths) for own in found.own))
    parts = (*answer.parts[:compared], *([yours] if yours.lines else []), *answer.parts[compared:])
    return answer._replace(warnings=(*(_first(note) for note in notes), *answer.warnings), parts=parts)


def _first(text: str) -> str:
    """Return the first sentence."""
    return text.partition(". ")[0].rstrip(".") + "."


def _sure(found: Recommendation) -> Iterator[str]:
    yield f"The best of {count(found.candidates, 'candidate')} that were simulated."
    if found.confirmation is not None:
        errors = [abs(difference.error) for difference in found.confirmation.differences]
        off = f" The prediction was off by {percent(fmean(errors))} (mean)." if errors else ""
        verb = "contradicts" if found.confirmation.contradicts else "confirms"
        yield f"The measurement {verb} the prediction ({count(found.confirmation.repeats, 'repeat')}).{off}"
    for change in found.changes:
        if not change.stays and not change.fewer_slots:
            yield change_text(change, found.paths)
    if found.confirmation is None:
        yield "To measure the best few on servers, leave out --no-measure."
