"""What is said of numbers that rest on an estimate, and where nothing says how uncertain a number is."""

from __future__ import annotations

from collections.abc import Iterable

from harness.core.records import Origin

__all__ = ["NOT_RESOLVABLE", "UNKNOWN", "make_sure", "model_asked", "rests_on", "too_uncertain"]

UNKNOWN = "uncertainty unknown"
NOT_RESOLVABLE = "Not resolvable on an estimate"


def make_sure(model: str = "") -> str:
    """Say in one line what to measure so that an estimate becomes sure.

    Args:
        model: as the server on that machine names it; "": not known.
    """
    return f"To make it sure, on that machine: slotwise probe http://127.0.0.1:11434 --model {model or 'NAME'}"


def model_asked(models: Iterable[str]) -> str:
    """Return the model to name in that line: the only one of these; "" where there are several, or it is a file."""
    known = set(models)
    model = known.pop() if len(known) == 1 else ""
    return "" if "/" in model or model.endswith(".gguf") else model


def rests_on(origin: Origin, error: object, model: str = "") -> str:
    """Say what a prediction rests on, and how far off that has been.

    Args:
        origin: of the prediction.
        error: on what was left out of the fit, in words; None: not known.
        model: as the servers name it; "": not known.
    """
    if origin == "estimated":
        known = f"On machines left out of the fit, such estimates were off by {error}. " if error else ""
        return f"Estimated: nothing was measured. {known}{make_sure(model)}"
    known = f"On calls it was not fitted to, its profile was off by {error}" if error else "Its error is not known"
    return f"Predicted, not measured. {known}."


def too_uncertain(origin: Origin) -> str:
    """Say that a difference is smaller than what is not known of the profile."""
    if origin == "estimated":
        return f"{NOT_RESOLVABLE}: measure it."
    return "More repeats do not help: the profile is too uncertain. Measure it."
