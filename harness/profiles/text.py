"""Fit how many tokens a prompt has to prompts that a server counted. docs/explanation/calibration.md describes it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from harness.profiles.schema import HeldOut, TextTokens
from harness.workload.prompts import Wording

__all__ = ["Counted", "fit_embedded_text", "fit_text", "solve"]


class Counted(NamedTuple):
    """One prompt. `text` is all of it, a system message included, without the number that begins it."""

    text: str
    system: bool
    tokens: int  # as the server counted, chat template and number included
    turns: int = 0  # questions and answers before the last question; their texts are in `text`


def fit_text(counted: Sequence[Counted]) -> TextTokens:
    """Fit tokens by words and letters, and what the chat template adds: least squares on relative errors.

    Args:
        counted: prompts of several kinds and lengths, with and without system messages, of 16 tokens or more; some with
            turns before them, or what the template adds for these is not known.

    Raises:
        ValueError: too few of either to fit anything and test it.
    """
    if min(sum(one.system for one in counted), sum(not one.system for one in counted)) < 3:
        raise ValueError(f"expected three prompts with and three without system message, found {len(counted)} in all")
    values, held_out = _fitted([_row(one) for one in counted], counted)
    return TextTokens(
        tokens_per_piece=values[0],
        tokens_per_long_letter=values[1],
        template_tokens=values[2],
        system_template_tokens=values[3],
        turn_template_tokens=values[4] if any(one.turns for one in counted) else None,
        held_out=held_out,
    )


def fit_embedded_text(counted: Sequence[Counted]) -> TextTokens:
    """Fit the same of texts that are embedded, each as it is: what stands for the template is what begins and ends it.

    Raises:
        ValueError: too few texts to fit anything and test it.
    """
    if len(counted) < 4:
        raise ValueError(f"expected four texts or more, found {len(counted)}")
    values, held_out = _fitted([[*Wording.of(one.text), 1.0] for one in counted], counted)
    return TextTokens(
        tokens_per_piece=values[0],
        tokens_per_long_letter=values[1],
        template_tokens=values[2],
        system_template_tokens=values[2],
        held_out=held_out,
    )


def _fitted(wordings: Sequence[Sequence[float]], counted: Sequence[Counted]) -> tuple[list[float], HeldOut]:
    """Return the tokens of each part, and the error on each text, fitted on the others."""
    rows = np.array(wordings, dtype=float)
    tokens = np.array([one.tokens for one in counted], dtype=float)
    errors = []
    for i in range(len(counted)):
        others = np.arange(len(counted)) != i
        errors.append(abs(float(rows[i] @ solve(rows[others], tokens[others])) / tokens[i] - 1))
    held_out = HeldOut(
        calls=len(errors),
        median_error=float(f"{median(errors):.3g}"),
        worst_error=float(f"{max(errors):.3g}"),
    )
    return [float(f"{value:.4g}") for value in solve(rows, tokens)], held_out


def _row(one: Counted) -> list[float]:
    pieces, long_letters = Wording.of(one.text)
    return [pieces, long_letters, not one.system, one.system, one.turns]


def solve(rows: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Return the values of least squares on relative errors; none is negative."""
    kept = list(range(rows.shape[1]))
    while True:
        found = np.linalg.lstsq(rows[:, kept] / tokens[:, None], np.ones(len(tokens)), rcond=None)[0]
        if found.min() >= 0:
            break
        del kept[int(found.argmin())]
    values = np.zeros(rows.shape[1])
    values[kept] = found
    return values
