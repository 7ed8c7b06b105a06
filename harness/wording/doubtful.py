"""What is said of a server whose figures are missing or cannot be, while it is probed or calibrated."""

from __future__ import annotations

__all__ = ["no_counts", "no_times", "unfit", "unseen"]


def no_times(server: str, doubt: str | None) -> str:
    """Say that slots are counted by the client's clock."""
    return f"{server}: {_lacking('the times of its calls', doubt)}; counting slots by when tokens arrive"


def unseen(server: str, doubt: str | None) -> str:
    """Say that slots cannot be counted."""
    return f"{server}: slots cannot be counted: {_lacking('when its calls generate', doubt)}"


def no_counts(server: str, doubt: str | None) -> str:
    """Say that concurrency levels cannot be compared."""
    return f"{server}: levels cannot be compared: {_lacking('how many tokens it generated', doubt)}"


def unfit(server: str, doubt: str | None) -> str:
    """Say that no profile can be made."""
    return f"{server}: no profile can be made: {_lacking('counts and times of its calls', doubt)}"


def _lacking(what: str, doubt: str | None) -> str:
    return doubt or f"the server does not tell {what}"
