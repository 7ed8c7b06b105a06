"""The text that flows from node to node of a job. The engine counts; here are the words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["Render", "Texts"]

# Renders one message: (pipeline, node, item, outputs of the job so far) -> system and user text.
Render = Callable[[str, str, int, Mapping[str, tuple[str, ...]]], tuple[str | None, str]]


class Texts:
    """Outputs of the jobs in progress, by pipeline and job, node and item."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._outputs: dict[tuple[str, int], dict[str, dict[int, str]]] = {}

    def prompt(self, pipeline: str, job: int, node: str, item: int) -> tuple[str | None, str]:
        """Return the system message (or None) and the user message of one call."""
        outputs = self._outputs.get((pipeline, job), {})
        joined = {name: tuple(items[i] for i in sorted(items)) for name, items in outputs.items()}
        return self._render(pipeline, node, item, joined)

    def keep(self, pipeline: str, job: int, node: str, item: int, text: str) -> None:
        """Keep what a model answered, for the nodes after it."""
        self._outputs.setdefault((pipeline, job), {}).setdefault(node, {})[item] = text

    def forget(self, pipeline: str, job: int) -> None:
        """Drop the texts of a job that has ended."""
        self._outputs.pop((pipeline, job), None)
