"""How far something long is, noted so that it can be shown in another process or on a page."""

from __future__ import annotations

from collections import deque

from harness.report.progress import FrameProgress

__all__ = ["MOST_NOTED", "NotedProgress"]

MOST_NOTED = 100  # lines


class NotedProgress(FrameProgress):
    """Notes what it is told: `lines` has the steps, `frame` how the one under way stands."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=MOST_NOTED)

    def say(self, text: str) -> None:
        """Keep the line."""
        self.lines.append(text)
        super().say(text)
