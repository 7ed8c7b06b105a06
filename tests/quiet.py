"""Progress that shows nothing."""

from __future__ import annotations

from harness.measure.progress import Progress


class Quiet(Progress):
    """Shows nothing."""
