"""Progress that shows nothing and keeps what it was told: for every call that takes a `Progress`."""

from __future__ import annotations

from collections.abc import Sequence

from harness.measure.progress import Progress


class Quiet(Progress):
    """Keeps the lines that were said, how many trials were announced, and the number of the last that began."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.total = 0
        self.last = 0

    def say(self, text: str) -> None:
        self.said.append(text)

    def trials(self, names: Sequence[str], *_: str, **__: str) -> None:
        self.total = len(names) or self.total

    def trial(self, number: int, title: str) -> None:
        self.last = number
