"""A score on the terminal: predicted against measured, the error, and the noise that it must be seen against."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from harness.core.records import Origin
from harness.predict.score import Score, ScoreRow
from harness.report.text import plain
from harness.units import percent, seconds

__all__ = ["score_report"]

_FIGURES = {"reply p50": "median reply"}  # the others are called what they are


def score_report(score: Score, notes: Sequence[str], lengths: str, origin: Origin = "measured") -> Group:
    """Render a score against a run of that origin; fits 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("candidate", "pipeline", "figure"):
        table.add_column(column)
    for column in ("predicted", origin, "error", "noise"):
        table.add_column(column, justify="right")
    for row in score.rows:
        noise = "-" if row.noise is None else f"±{percent(row.noise)}"
        table.add_row(
            plain(row.candidate),
            plain(row.pipeline) or "(all)",
            _FIGURES.get(row.figure, row.figure),
            _value(row, row.predicted),
            _value(row, row.measured),
            f"{row.error * 100:+.{0 if abs(row.error) >= 0.0995 else 1}f} %",
            noise,
        )
    times = [abs(row.error) for row in score.rows if row.figure in ("pipeline time", "reply p50")]
    ratios = [abs(error) for *_, error in score.ratio_errors]
    summary = []
    if times:
        summary.append(
            f"Times: off by {percent(median(times))} (median of {len(times)}), {percent(max(times))} at worst."
        )
    if ratios:
        summary.append(
            f"Ratios between candidates: off by {percent(median(ratios))} (median), {percent(max(ratios))} at worst."
        )
    below = Table.grid(padding=(0, 1))
    below.add_row("-", f"Lengths of calls: {lengths}. Noise is half of the 95 % interval of what was {origin}.")
    for note in notes:
        below.add_row("-", Text(plain(note)))
    head = [Text(f"Predicted against {origin}", style="bold"), *map(Text, summary), Text("")]
    return Group(*head, table, Text(""), below)


def _value(row: ScoreRow, value: float) -> str:
    return f"{value:.1f} tok/s" if row.figure == "throughput" else seconds(value)
