"""What a reader is to the fuzzer: valid inputs, their form, and a function that reads any bytes."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

from fuzz.mutate import all_keys, changed, changed_bytes, json_pairs, yaml_pairs
from fuzz.odd import JSON_ODD, YAML_ODD, Raw, invented, noise, text_of

from harness.errors import SlotwiseError, WorkloadError
from harness.report.text import plain

__all__ = ["Form", "Reader", "TooSlow", "attempt", "patient"]

CPU_S = 20.0  # an input that takes more CPU time hangs
LINE_MOST = 2000


class Form(NamedTuple):
    """How a file is taken apart into what stands before a structure, the structure, and what stands after it."""

    parse: Callable[[str], tuple[str, Any, str]]
    odd: Sequence[Any]
    write: Callable[[Any], str] = text_of


def _lines(value: Any) -> str:
    return "\n".join(map(text_of, value)) if isinstance(value, list) else text_of(value)


def _cells(value: Any) -> str:
    rows = value if isinstance(value, list) else [value]
    return "\n".join(",".join(map(_cell, row)) if isinstance(row, list) else _cell(row) for row in rows)


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else text_of(value)


def _head_and(parse: Callable[[str], Any], mark: str) -> Callable[[str], tuple[str, Any, str]]:
    """Take apart what has a head up to `mark`."""

    def parts(text: str) -> tuple[str, Any, str]:
        head, found, rest = text.partition(mark)
        return head + found, parse(rest), ""

    return parts


def _json_lines(text: str) -> list[Any]:
    return [json_pairs(line) for line in text.splitlines()]


def _card(text: str) -> tuple[str, Any, str]:
    _, front, body = text.split("---\n", 2)
    return "---\n", yaml_pairs(front), f"\n---\n{body}"


FORMS = {
    "json": Form(lambda text: ("", json_pairs(text), ""), JSON_ODD),
    "json lines": Form(lambda text: ("", _json_lines(text), ""), JSON_ODD, _lines),
    "yaml": Form(lambda text: ("", yaml_pairs(text), ""), YAML_ODD),
    "csv": Form(lambda text: ("", [line.split(",") for line in text.splitlines()], ""), JSON_ODD, _cells),
    "card": Form(_card, YAML_ODD),
    "request": Form(_head_and(json_pairs, "\n\n"), JSON_ODD),
    "named json": Form(_head_and(json_pairs, "\n"), JSON_ODD),
    "named json lines": Form(_head_and(_json_lines, "\n"), JSON_ODD, _lines),
    "named yaml": Form(_head_and(yaml_pairs, "\n"), YAML_ODD),
}


class Seed(NamedTuple):
    """A valid input; form "": only its bytes are changed."""

    data: bytes
    form: str = ""


class Reader:
    """One reader.

    Args:
        read: takes the bytes and a folder of its own; it returns anything, or raises SlotwiseError.
        seeds: valid inputs.
        share: of all inputs that a run of the fuzzer makes, beside those of the other readers.
        examples: in `make test`.
    """

    def __init__(
        self,
        read: Callable[[bytes, Path], object],
        seeds: Callable[[], Sequence[Seed]],
        share: float,
        examples: int = 30,
    ) -> None:
        self.read, self._seeds, self.share, self.examples = read, seeds, share, examples

    @cached_property
    def seeds(self) -> Sequence[Seed]:
        """The valid inputs."""
        return self._seeds()

    @cached_property
    def _parsed(self) -> list[tuple[Form, tuple[str, Any, str]]]:
        return [
            (FORMS[seed.form], FORMS[seed.form].parse(seed.data.decode("utf-8-sig")))
            for seed in self.seeds
            if seed.form
        ]

    @cached_property
    def _keys(self) -> list[Any]:
        return sorted(set().union(*(all_keys(parts[1]) for _, parts in self._parsed)), key=str)

    def make(self, seed: int) -> bytes:
        """Return the input with this number."""
        rng = Random(seed)
        kind = rng.random()
        if kind < 0.08:
            return noise(rng)
        if not self._parsed or kind < 0.4:
            return changed_bytes(rng, rng.choice(self.seeds).data, [one.data for one in self.seeds])
        form, (before, value, after) = rng.choice(self._parsed)
        value = invented(rng, self._keys, form.odd) if kind < 0.55 else changed(rng, value, form.odd)
        written = value if isinstance(value, Raw) else form.write(value)
        return (before + written + after).encode("utf-8", "surrogatepass")


class TooSlow(BaseException):
    """An input that takes too long; no reader can catch it by mistake."""


@contextmanager
def patient(cpu_s: float = CPU_S) -> Iterator[None]:
    """Raise TooSlow in what takes more CPU time than this; only in a main thread."""

    def ring(_: int, frame: FrameType | None) -> None:
        where = "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
        raise TooSlow(f"more than {cpu_s:g} s of CPU time, at {where}")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def attempt(reader: Reader, data: bytes, folder: Path) -> str:
    """Read an input; return "value" or "error". Whatever else happens is raised."""
    with patient(), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            reader.read(data, folder)
        except SlotwiseError as error:
            lines = str(error).split("\n")
            assert all(plain(line).strip() for line in lines), f"a message with an empty line: {str(error)[:300]!r}"
            listed = isinstance(error, WorkloadError)  # a line for each mistake
            assert listed or len(lines) == 1, f"a message of several lines: {str(error)[:300]!r}"
            return "error"
    return "value"
