"""All that a report says about one run, beside its figures."""

from __future__ import annotations

from typing import NamedTuple

from harness.analysis.model import Analysis
from harness.wording.notices import notice_text
from harness.wording.standard_set import meanings_text
from harness.wording.verdicts import choice_sentences, path_headline, path_sentences

__all__ = ["NoticeText", "PathText", "Said", "said"]


class NoticeText(NamedTuple):
    """A notice; `kind` is for programs."""

    kind: str
    text: str


class PathText(NamedTuple):
    """What is said of one path."""

    headline: str
    sentences: tuple[str, ...]


class Said(NamedTuple):
    """The sentences of a report, as plain text."""

    notices: tuple[NoticeText, ...]  # in the order of the analysis, as the next
    paths: tuple[PathText, ...]
    choice: tuple[str, ...]  # for the whole
    method: tuple[str, ...]  # what the names mean, and how the intervals were made


def said(analysis: Analysis) -> Said:
    """Say what an analysis knows."""
    return Said(
        tuple(NoticeText(notice.kind, notice_text(notice)) for notice in analysis.notices),
        tuple(PathText(path_headline(analysis, v), path_sentences(analysis, v)) for v in analysis.paths),
        choice_sentences(analysis),
        _method(analysis),
    )


def _method(analysis: Analysis) -> tuple[str, ...]:
    meanings = meanings_text(analysis)
    method = [
        *([meanings] if meanings else []),
        "The repeat is the unit: per repeat the median over jobs; over repeats geometric means with 95 % t intervals "
        "on logarithms; candidates are compared by a paired t on log ratios, on the same draws.",
        "Equal within 5 % means that the whole interval of the ratio lies between 0.95 and 1.05.",
    ]
    compared = (c.comparisons for verdict in analysis.paths for c in verdict.comparisons if c.low is not None)
    if (most := max(compared, default=0)) > 1:
        method.append(
            f"{most} candidates are compared with the fastest of a path, so each interval is widened to "
            f"{100 * (1 - 0.05 / most):.1f} % (Bonferroni)."
        )
    if analysis.resampled is not None:
        method.append(
            "The profile's interval shows how each figure changes, on the same draws, when the profile is replaced "
            f"by one as it might have come out ({analysis.resampled}); a difference between candidates counts where it "
            "is larger than both intervals of their ratio together."
        )
    return tuple(method)
