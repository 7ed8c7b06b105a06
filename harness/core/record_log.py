"""Very many records in little memory: full blocks of them as columns, rebuilt when they are looked at.

A call takes about 800 bytes as objects, and about 100 in a log. Fewer records than a block stay the objects they are.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from math import nan
from operator import is_
from typing import Any, Final, Generic, TypeVar, overload

from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply

__all__ = ["RecordLog", "Records"]

R = TypeVar("R", CallRecord, JobRecord, DelayRecord)

BLOCK: Final = 4096  # records

_new: Final = tuple.__new__

# One column of a block: what yields its values again.
_Column = Callable[[], Iterable[Any]]


def _packed(values: tuple[Any, ...]) -> _Column:
    """Keep a column in the smallest form that gives back equal values of the same types."""
    first, number = values[0], len(values)
    if all(map(is_, values, repeat(first))):
        return lambda: repeat(first, number)
    kinds = set(map(type, values))
    if kinds == {float}:
        return array("d", values).__iter__
    if kinds == {float, type(None)}:
        known = array("d", [nan if value is None else value for value in values])
        return lambda: [None if value != value else value for value in known]
    if kinds == {int}:
        try:
            return array("q", values).__iter__
        except OverflowError:
            pass
    return values.__iter__


class RecordLog(Sequence[R], Generic[R]):
    """A sequence of records of one kind that only grows. Their numbers must not be NaN."""

    __slots__ = ("_blocks", "_kind", "_last", "_open")

    def __init__(self, kind: type[R]) -> None:
        self._kind: type[R] = kind
        self._blocks: list[tuple[list[_Column], list[_Column]]] = []  # columns of the records, and of their replies
        self._open: list[R] = []  # the records of the block that is not full
        self._last: tuple[int, list[R]] | None = None  # the block that was looked into last

    def append(self, record: R) -> None:
        """Keep a record."""
        self._open.append(record)
        if len(self._open) == BLOCK:
            columns = list(zip(*self._open, strict=True))
            replies: list[tuple[Any, ...]] = list(zip(*columns.pop(), strict=True)) if self._kind is CallRecord else []
            self._blocks.append(([_packed(column) for column in columns], [_packed(column) for column in replies]))
            self._open = []

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK + len(self._open)

    def __iter__(self) -> Iterator[R]:
        for index in range(len(self._blocks)):
            yield from self._block(index)
        yield from self._open

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> list[R]: ...
    def __getitem__(self, index: int | slice) -> R | list[R]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        block, place = divmod(index, BLOCK)
        if block == len(self._blocks):
            return self._open[place]
        if self._last is None or self._last[0] != block:
            self._last = (block, self._block(block))
        return self._last[1][place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordLog | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def _block(self, index: int) -> list[R]:
        own, replies = self._blocks[index]
        columns = [column() for column in own]
        if replies:
            columns.append([_new(Reply, fields) for fields in zip(*(column() for column in replies), strict=True)])
        return [_new(self._kind, fields) for fields in zip(*columns, strict=True)]


class Records:
    """All records of a run, or of several trials, by kind."""

    __slots__ = ("calls", "delays", "jobs")

    def __init__(self) -> None:
        self.calls = RecordLog(CallRecord)
        self.jobs = RecordLog(JobRecord)
        self.delays = RecordLog(DelayRecord)

    def append(self, record: CallRecord | JobRecord | DelayRecord) -> None:
        """Keep a record with those of its kind."""
        if isinstance(record, CallRecord):
            self.calls.append(record)
        elif isinstance(record, JobRecord):
            self.jobs.append(record)
        else:
            self.delays.append(record)
