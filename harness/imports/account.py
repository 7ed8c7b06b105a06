"""What an import found, made and lost, in figures: nothing is lost in silence.

Of every import, calls, tokens, width and tools of the source are those of the workload that was made, plus those that
a line names as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from harness.units import count

__all__ = ["ROUNDING", "ImportAccount", "ImportCounts", "ImportLoss", "loss_line", "lost_of", "summed"]

ROUNDING = 0.002  # of a figure: sizes stand in the file with four figures


class ImportCounts(NamedTuple):
    """Calls of models (of embeddings: requests), their tokens, and tools; None where nobody can say.

    Of a source these are all that it tells of; of a workload, the means over all its jobs.
    """

    calls: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None  # with what was thought
    width: int | None = None  # most calls at once in one job
    tools: float | None = None


class ImportLoss(NamedTuple):
    """What of the source is not in the workload, or is otherwise there: a line for a person, and how much it is.

    Where more came out than went in, figures are below zero.
    """

    why: str
    calls: float = 0
    input_tokens: float = 0
    output_tokens: float = 0
    width: int = 0
    tools: float = 0


class ImportAccount(NamedTuple):
    """One import. `asked` are the questions that the file holds."""

    found: ImportCounts = ImportCounts()
    made: ImportCounts = ImportCounts()
    lost: tuple[ImportLoss, ...] = ()
    asked: tuple[str, ...] = ()

    def missing(self) -> dict[str, float]:
        """Return by figure what is neither made nor lost; empty where every sum holds, but for rounding."""
        gaps = {}
        for figure, found, made in zip(ImportCounts._fields, self.found, self.made, strict=True):
            if found is None or made is None:
                continue
            gap = found - made - sum(getattr(loss, figure) for loss in self.lost)
            if abs(gap) > ROUNDING * max(1, abs(found)):
                gaps[figure] = gap
        return gaps

    def plain(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "found": _known(self.found._asdict().items()),
            "made": _known(self.made._asdict().items()),
            "lost": [{key: value for key, value in loss._asdict().items() if value} for loss in self.lost],
            "asked": list(self.asked),
        }


def _known(figures: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in figures if value is not None}


def lost_of(why: str, figures: Mapping[str, float]) -> ImportLoss:
    """Return a loss of these figures, by their names; not of width."""
    calls, read, written, tools = (figures.get(name, 0) for name in ("calls", "input_tokens", "output_tokens", "tools"))
    return ImportLoss(why, calls, read, written, tools=tools)


def summed(losses: Iterable[ImportLoss]) -> tuple[ImportLoss, ...]:
    """Return losses with those of one reason as one, in the order of their first."""
    found: dict[str, ImportLoss] = {}
    for loss in losses:
        before = found.get(loss.why, ImportLoss(loss.why))
        figures = (a + b for a, b in zip(before[1:], loss[1:], strict=True))
        found[loss.why] = ImportLoss._make((loss.why, *figures))
    return tuple(found.values())


def loss_line(loss: ImportLoss) -> str:
    """Say what is lost, or was added, and why."""
    parts = [(loss.calls, "call"), (loss.input_tokens, "input token"), (loss.output_tokens, "output token")]
    parts.append((loss.tools, "tool run"))
    amounts = [(figure, what) for figure, what in parts if abs(figure) >= 0.05]
    words = ", ".join(_amount(figure, what) for figure, what in amounts)
    if loss.width:
        wide = f"{count(abs(loss.width), 'call')} at once"
        return f"Differs: {wide} {'fewer' if loss.width > 0 else 'more'}, {loss.why}"
    signs = {figure > 0 for figure, _ in amounts}
    head = "Lost" if signs == {True} else "Added" if signs == {False} else "Differs"
    if head == "Differs":
        words = ", ".join(f"{'-' if figure > 0 else '+'}{_amount(figure, what)}" for figure, what in amounts)
    return f"{head}: {words or 'nothing that is counted'}, {loss.why}"


def _amount(figure: float, what: str) -> str:
    rounded = round(abs(figure), 1)
    return count(int(rounded), what) if rounded == int(rounded) else f"{rounded:g} {what}s"
