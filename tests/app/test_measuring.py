"""What a measurement says as it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.app import machine
from harness.app.measuring import machine_notes
from harness.app.workload import Written, load
from harness.measure.progress import Progress

TEXT = """
version: 1
name: ask
pipelines:
  ask:
    path: interactive
    jobs: 2
    arrival: {closed: 1, think_s: 1}
    nodes:
      reply: {agent: chat}
compare: {plain: window}
"""


class Told(Progress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(
    ("cores", "texts", "kinds"),
    [
        (
            1.5,
            ["other programs keep 1.5 cores busy: times of a model on the cores will be too long by that"],
            ["busy at start"],
        ),
        (0.1, [], []),
        (None, [], []),
    ],
)
def test_a_busy_machine_is_said_before_anything_is_measured(
    cores: float | None, texts: list[str], kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "busy_cores", lambda: cores)
    told = Told()
    notes = machine_notes(load(Written(Path("ask.yaml"), TEXT)), told)
    assert told.texts == texts
    assert [note.kind for note in notes] == kinds
