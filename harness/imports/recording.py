"""Recorded calls of a program: what each was, and how it is related to those before it. Kept as JSON lines.

Texts are needed for these relations while a program runs, and are kept only where somebody asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UserError
from harness.imports.said import SaidText

__all__ = ["CallRecording", "RecordedCall", "keep_recording", "read_recording"]

CHARS_A_TOKEN = 4  # where a server counts none
LEAST_ALIKE = 12  # characters that prompts of one template begin with
LEAST_READ = 16  # characters of an answer that another prompt holds: shorter ones occur by chance
MOST_BEFORE = 500  # calls that a new one is compared with
MOST_CALLS = 100_000
OPENING = 60  # characters that are shown of a prompt
_FORM = "slotwise_recording"


class RecordedCall(NamedTuple):
    """A call as it was sent and answered. Times are seconds from the start of the recording."""

    start_s: float
    end_s: float
    kind: str  # agent or embed
    agent: str  # a name for calls that are made alike
    model: str
    job: str = ""  # as a header named it
    input_tokens: int = 0
    output_tokens: int = 0  # with what was thought
    thinking_tokens: int = 0  # of these
    system_tokens: int = 0  # of the input, that all calls of the agent begin with
    system: str = ""  # a hash of that
    counted: bool = True  # by the server; else from the lengths of the texts
    texts: int | None = None  # of an embedding
    failed: str = ""  # why
    follows: int = -1  # the call, by its number, whose prompt this one begins with
    reads: tuple[int, ...] = ()  # calls whose answers the prompt holds
    settings: Mapping[str, Any] = {}
    opening: str = ""  # of the prompt, where texts are kept


class _Heard(NamedTuple):
    call: RecordedCall
    said: SaidText
    alike: str  # what calls of one agent have in common


class CallRecording:
    """Calls as they end, with their texts; `calls` gives them without."""

    def __init__(self, *, texts: bool = False) -> None:
        self.beyond = 0  # calls that are not kept
        self._heard: list[_Heard] = []
        self._texts = texts

    def __len__(self) -> int:
        return len(self._heard)

    def add(
        self,
        said: SaidText,
        start_s: float,
        end_s: float,
        *,
        job: str = "",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        pieces: int = 0,
        failed: str = "",
    ) -> None:
        """Keep a call; tokens that the server did not count are estimated, those of a stream by its `pieces`."""
        if len(self._heard) >= MOST_CALLS:
            self.beyond += 1
            return
        counted = input_tokens is not None and (output_tokens is not None or said.kind == "embed")
        chars = len(said.system) + sum(map(len, said.turns))
        generated = len(said.answer) + len(said.thought)
        if input_tokens is None:
            input_tokens = max(1, chars // CHARS_A_TOKEN)
        if output_tokens is None and said.kind == "agent" and not failed:
            output_tokens = max(1, pieces if pieces > 2 else generated // CHARS_A_TOKEN)
        output = output_tokens or 0
        thinking = min(output - 1, round(output * len(said.thought) / generated)) if said.thought and output > 1 else 0
        system_tokens = round(input_tokens * len(said.system) / chars) if chars and said.system else 0
        kept = {key: value for key, value in said.settings.items() if key != "num_predict"}
        self._heard.append(
            _Heard(
                RecordedCall(
                    start_s, end_s, said.kind, "", said.model, job, input_tokens, output, thinking,
                    system_tokens, _hash(said.system) if said.system else "", counted, said.texts, failed,
                    settings=dict(said.settings),
                ),
                said,
                json.dumps([said.kind, said.model, _hash(said.system), sorted(kept.items())], default=str),
            )
        )  # fmt: skip

    def calls(self) -> list[RecordedCall]:
        """Return all calls in the order of their starts, with names and relations."""
        heard = sorted(self._heard, key=lambda one: (one.call.start_s, one.call.end_s))
        found: list[RecordedCall] = []
        for number, one in enumerate(heard):
            before = [i for i in range(max(0, number - MOST_BEFORE), number) if _may_know(heard[i], one)]
            follows = next((i for i in reversed(before) if _goes_on(heard[i].said, one.said)), -1)
            prompt = f"{one.said.system}\n{one.said.prompt}"
            reads = tuple(i for i in before if _holds(prompt, heard[i].said.answer))
            shown = " ".join(one.said.prompt[:OPENING].split()) if self._texts else ""
            found.append(one.call._replace(follows=follows, reads=reads, opening=shown))
        names = _names(heard, found)
        return [call._replace(agent=name) for call, name in zip(found, names, strict=True)]


def _may_know(before: _Heard, now: _Heard) -> bool:
    same_job = before.call.job == now.call.job
    return same_job and not before.call.failed and before.call.end_s <= now.call.start_s + 1e-6


def _goes_on(before: SaidText, now: SaidText) -> bool:
    """Tell whether a prompt begins with all of another one: a conversation goes on."""
    if before.kind != "agent" or now.kind != "agent" or (before.system, before.model) != (now.system, now.model):
        return False
    turns = len(before.turns)
    if turns and len(now.turns) > turns and now.turns[:turns] == before.turns:
        return True
    only = turns == len(now.turns) == 1
    return (
        only
        and len(now.turns[0]) > len(before.turns[0]) > 0
        and now.turns[0].startswith(before.turns[0] + before.answer)
    )


def _holds(prompt: str, answer: str) -> bool:
    answer = answer.strip()
    return len(answer) >= LEAST_READ and answer in prompt


def _names(heard: list[_Heard], found: list[RecordedCall]) -> list[str]:
    """Name the agents: calls that go on with each other, and calls of the same settings whose prompts begin alike.

    What begins like no other call is one agent with all others of its settings, and told apart by its place in a job.
    """
    group = list(range(len(heard)))  # of each call, the first of its kind
    by_opening: dict[tuple[str, str], list[int]] = {}
    for i, one in enumerate(heard):
        if found[i].follows >= 0:
            group[i] = group[found[i].follows]
        else:
            by_opening.setdefault((one.alike, one.said.prompt[:LEAST_ALIKE]), []).append(i)
    conversations = {group[call.follows] for call in found if call.follows >= 0}
    alone: dict[str, int] = {}
    for (alike, opening), members in by_opening.items():
        first = members[0]
        if (len(members) == 1 and first not in conversations) or len(opening) < LEAST_ALIKE:
            first = alone.setdefault(alike, first)
        for i in members:
            group[i] = first
    for i, call in enumerate(found):  # what goes on has the name of what it goes on with
        if call.follows >= 0:
            group[i] = group[call.follows]
    names: dict[int, str] = {}
    for i, first in enumerate(group):
        kind = heard[i].call.kind
        if first not in names:
            number = 1 + sum(name.startswith(f"{_NAME[kind]}-") for name in names.values())
            names[first] = f"{_NAME[kind]}-{number}"
    return [names[first] for first in group]


_NAME = {"agent": "call", "embed": "embed"}


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def keep_recording(path: Path, calls: Iterable[RecordedCall]) -> None:
    """Write calls as JSON lines. Raises UserError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps({_FORM: 1}) + "\n")
            for call in calls:
                plain = {key: value for key, value in call._asdict().items() if value != _DEFAULTS.get(key, ...)}
                file.write(json.dumps(plain) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None


_DEFAULTS: dict[str, Any] = RecordedCall._field_defaults


def read_recording(path: Path) -> list[RecordedCall]:
    """Read what `keep_recording` wrote. Raises UserError with the line of what is none."""
    try:
        with path.open(encoding="utf-8") as file:
            return list(_read(path, file))
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UserError(f"{path} cannot be read: {why}") from None


def _read(path: Path, lines: Iterator[str]) -> Iterator[RecordedCall]:
    if _parsed(next(lines, "")).get(_FORM) != 1:
        raise UserError(
            f"{path}:1: expected a recording that `slotwise import record --keep` wrote, found something else; traces "
            "are imported by `slotwise import traces`"
        )
    for number, line in enumerate(lines, start=2):
        try:
            yield _call(_parsed(line), number - 2)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}:{number}: expected a recorded call, found {error}; record again") from None


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _call(plain: dict[str, Any], number: int) -> RecordedCall:
    unknown = sorted(set(plain) - set(RecordedCall._fields))
    if unknown or not plain:
        raise ValueError(f'the key "{unknown[0]}"' if unknown else "no object")
    call = RecordedCall(**{**plain, "reads": tuple(plain.get("reads", ()))})
    for field, kind in (
        ("start_s", int | float),
        ("end_s", int | float),
        ("input_tokens", int),
        ("output_tokens", int),
    ):
        if not isinstance(getattr(call, field), kind) or not 0 <= getattr(call, field) < 1e9:
            raise ValueError(f"no number in {field}")
    for field in ("kind", "agent", "model", "job", "failed", "system", "opening"):
        if not isinstance(getattr(call, field), str):
            raise ValueError(f"no text in {field}")
    if call.kind not in _NAME or call.end_s < call.start_s or not isinstance(call.settings, dict):
        raise ValueError("one that ends before it starts, or is of no kind")
    if not all(isinstance(one, int) and -1 <= one < number for one in (call.follows, *call.reads)):
        raise ValueError("one that goes on with a later one")
    return call
