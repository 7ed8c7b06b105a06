"""report.html of a search: its answer and what it found, and all that a run's page has of the finalists."""

from __future__ import annotations

from harness.analysis.details import details
from harness.predict.score import score as score_of
from harness.recommend.model import Recommendation
from harness.report.drawing import drawings_of
from harness.report.html import report_page
from harness.report.recommendation import sections_of
from harness.report.score_file import SavedScore
from harness.runs.model import Run
from harness.wording.recommendations import recommended
from harness.wording.search_answer import search_answer

__all__ = ["html_recommendation"]

_COMMAND = "slotwise recommend FILE"


def html_recommendation(found: Recommendation, predicted: Run, measured: Run | None, command: str = "") -> str:
    """Return the page.

    Args:
        found: the recommendation.
        predicted: its finalists, as they were predicted, with all records.
        measured: those that were measured; None where nothing was confirmed.
        command: the one that found it, as it was typed; "": not known.
    """
    confirmation = found.confirmation if measured is not None else None
    analysis = confirmation.analysis if confirmation else found.analysis
    run = measured if measured is not None and confirmation else predicted
    score = None
    if confirmation and measured is not None:
        rows = score_of(confirmation.analysis, found.analysis, measured, predicted).rows
        rows = tuple(row for row in rows if row.measured > 0)
        score = SavedScore(found.profile, "forecast", rows, ())
    more, text = details(run, analysis), recommended(found)
    drawings = drawings_of(analysis, more, score.rows if score else (), found)
    # The front shows the same paths as "trade", of every candidate that was looked at.
    made = {name: drawing for name, drawing in drawings.made.items() if name != "trade"}
    return report_page(
        "recommendation.html.j2",
        analysis,
        more,
        drawings._replace(made=made),
        score,
        answer=search_answer(found, command or _COMMAND),
        run=analysis.run._replace(command=command or _COMMAND),
        recommendation=found,
        title=f"{found.workload}: the best way to run it",
        found=[
            one for one in sections_of(found) if one.key and (confirmation or one.key != "basis")
        ],  # else in the notes
        found_notes=text.notes,
        confirmation=text.confirmation,
        measured_in=confirmation.folder if confirmation else "",
        kept=False,
    )
