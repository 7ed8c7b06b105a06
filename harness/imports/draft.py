"""A workload that is being written from something else: plain data, with notes and questions for a person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from harness.imports.account import ImportAccount

__all__ = ["END", "Draft", "DraftNote", "DraftStep", "Flow", "Names", "PipelineDraft", "ask", "note", "walk"]

END = "__end__"  # of a graph's targets: nothing follows


class DraftNote(NamedTuple):
    """A comment in the file; a question is one that a person must answer before the numbers mean much."""

    text: str
    question: bool = False
    guess: str = ""  # what the file says until somebody answers


def note(text: str) -> DraftNote:
    """Make a comment."""
    return DraftNote(text)


def ask(text: str, guess: str = "") -> DraftNote:
    """Make a question; `guess` is what the file says until somebody answers."""
    return DraftNote(text, question=True, guess=guess)


class DraftStep(NamedTuple):
    """A node of the workload to be. `keys` are its own keys of the YAML file apart from `agent`, `tool`, `after`."""

    name: str
    kind: Literal["agent", "embed", "tool", "graph"]
    after: tuple[str, ...] = ()  # NODE or NODE.LABEL
    target: str = ""  # the agent, or the sub-pipeline
    delay_s: Any = 0  # tools: a number or a distribution, as in the file
    keys: Mapping[str, Any] = {}
    body: Flow = ()  # of the sub-pipeline
    notes: tuple[DraftNote, ...] = ()
    embed: Mapping[str, Any] = {}  # of an embedding, as in the file
    again: bool = False  # the same node as another one, which stands for it where things are counted


Flow = tuple[DraftStep, ...]


class PipelineDraft(NamedTuple):
    """A pipeline to be: the keys before `nodes`, and the nodes."""

    keys: Mapping[str, Any]
    flow: Flow
    notes: tuple[DraftNote, ...] = ()
    key_notes: Mapping[str, tuple[DraftNote, ...]] = {}  # above a key


class Draft(NamedTuple):
    """A whole workload to be; `files` are its data files by their path beside it."""

    name: str
    description: str
    head: tuple[DraftNote, ...]
    pipelines: Mapping[str, PipelineDraft]
    agents: Mapping[str, tuple[Mapping[str, Any], tuple[DraftNote, ...]]]
    inputs: Mapping[str, Mapping[str, Any]]
    servers: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str] = {}
    account: ImportAccount = ImportAccount()  # what the source holds, and what of it is not here


def walk(flow: Flow) -> Iterable[DraftStep]:
    """Yield every step, those of loops' bodies after the loop."""
    for step in flow:
        yield step
        yield from walk(step.body)


class Names:
    """Makes any text a name that the file allows, each a new one."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def __call__(self, text: str, otherwise: str = "node") -> str:
        """Return a name as close to `text` as is allowed and free."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:50]
        if not name or not name[0].isalpha():
            name = f"{otherwise}-{name}".rstrip("-")
        free, n = name, 2
        while free in self._taken:
            free, n = f"{name}-{n}", n + 1
        self._taken.add(free)
        return free
