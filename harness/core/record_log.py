"""Very many records in little memory: numbers in columns, records rebuilt when they are looked at.

A record as objects takes about 600 bytes, here 150. For simulations of millions of calls; all others keep a list.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from math import isnan, nan
from typing import Any

from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply

__all__ = ["RecordLog"]

AnyRecord = CallRecord | JobRecord | DelayRecord

_WHOLE = {
    "repeat",
    "job",
    "item",
    "iteration",
    "attempt",
    "call",
    "calls",
    "prompt_tokens",
    "output_tokens",
    "cached_tokens",
    "session",
    "turn",
}
_TEXT = {
    "candidate",
    "origin",
    "pipeline",
    "path",
    "node",
    "agent",
    "model",
    "server",
    "outcome",
    "error",
    "done_reason",
}


def _split(names: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Return the places of the texts, and of the numbers."""
    texts = [i for i, name in enumerate(names) if name in _TEXT]
    return texts, [i for i in range(len(names)) if i not in texts]


# A call's reply is laid out flat behind it.
_NAMES: dict[type, tuple[str, ...]] = {
    CallRecord: (*CallRecord._fields[:-1], *Reply._fields),
    JobRecord: JobRecord._fields,
    DelayRecord: DelayRecord._fields,
}
_SPLIT = {kind: _split(names) for kind, names in _NAMES.items()}


class RecordLog:
    """Keeps records in the order of `append`; iterating gives equal ones back. Numbers must not be NaN."""

    def __init__(self) -> None:
        self._numbers = array("d")
        self._labels = array("l")  # one a record: an index into _texts
        self._texts: list[tuple[type, tuple[Any, ...]]] = []  # what many records have in common
        self._index: dict[tuple[type, tuple[Any, ...]], int] = {}

    def append(self, record: AnyRecord) -> None:
        """Keep a record."""
        kind = record.__class__
        flat: tuple[Any, ...] = record[:-1] + record[-1] if isinstance(record, CallRecord) else record
        texts, numbers = _SPLIT[kind]
        key = (kind, tuple([flat[i] for i in texts]))
        label = self._index.get(key)
        if label is None:
            label = self._index[key] = len(self._texts)
            self._texts.append(key)
        self._labels.append(label)
        self._numbers.extend([nan if flat[i] is None else flat[i] for i in numbers])

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[AnyRecord]:
        at = 0
        for label in self._labels:
            kind, texts = self._texts[label]
            text_places, number_places = _SPLIT[kind]
            names = _NAMES[kind]
            flat: list[Any] = [None] * len(names)
            for i, text in zip(text_places, texts, strict=True):
                flat[i] = text
            for i in number_places:
                number = self._numbers[at]
                at += 1
                if not isnan(number):
                    flat[i] = int(number) if names[i] in _WHOLE else number
            if kind is CallRecord:
                fields = len(CallRecord._fields) - 1
                yield CallRecord._make((*flat[:fields], Reply._make(flat[fields:])))
            else:
                yield kind(*flat)
