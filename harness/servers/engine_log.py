"""What the log of llama.cpp's server says of each call: its slot, and how much of its prompt was found again.

Ollama passes on what the engine that it starts writes. The lines are those of `SLT_INF` in llama.cpp's
tools/server/server-context.cpp: `new prompt`, `cached n_tokens`, `eval time` and `stop processing`. An engine that
words them otherwise tells nothing here, and nothing is guessed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["Asked", "EngineLog", "Served", "which_served"]

_LINE = re.compile(r"^slot .{12,}?: id +(\d+) \| task (\d+) \| +(.*)$")
_PROMPT = re.compile(r"new prompt, .*\btask\.n_tokens = (\d+)")
_CACHED = re.compile(r"cached n_tokens = (\d+)")
_ANSWER = re.compile(r"eval time = .*/ +(\d+) tokens")
_END = re.compile(r"stop processing: n_tokens = (\d+)")


class Served(NamedTuple):
    """A call that the engine has ended."""

    slot: int
    prompt_tokens: int
    cached_tokens: int  # of them: were there already
    output_tokens: int


class Asked(NamedTuple):
    """The same call as its client knows it."""

    prompt_tokens: int
    output_tokens: int
    end_s: float


class EngineLog:
    """Reads a log that grows. With several engines in one log the numbers of their calls mean nothing: do not use it.

    Args:
        read: returns what was written from a position (in bytes) on.
        at: where to begin.
    """

    def __init__(self, read: Callable[[int], bytes], at: int = 0) -> None:
        self._read, self._at = read, at
        self._prompts: dict[str, tuple[int, int]] = {}  # by task: tokens, and those found again
        self._answers: dict[str, int] = {}
        self.silent = False  # it was waited for, and told nothing

    def served(self) -> list[Served]:
        """Return the calls that have ended since this was last asked, in the order in which they did."""
        ended: list[Served] = []
        while whole := self._lines():
            told = (self._told(line) for line in whole.decode("utf-8", "replace").splitlines())
            ended += [one for one in told if one is not None]
        return ended

    def _lines(self) -> bytes:
        """Return some of what is there to read; a line that is half written is read next time."""
        data = self._read(self._at)
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole

    def _told(self, line: str) -> Served | None:
        found = _LINE.match(line)
        if found is None:
            return None
        slot, task, said = found.groups()
        if prompt := _PROMPT.match(said):
            self._prompts[task] = (int(prompt[1]), 0)
        elif (cached := _CACHED.match(said)) and task in self._prompts:
            self._prompts[task] = (self._prompts[task][0], int(cached[1]))
        elif answer := _ANSWER.match(said):
            self._answers[task] = int(answer[1])
        elif _END.match(said):
            prompt_tokens, output_tokens = self._prompts.pop(task, None), self._answers.pop(task, None)
            if prompt_tokens is not None and output_tokens is not None:
                return Served(int(slot), *prompt_tokens, output_tokens)
        return None


def which_served(asked: Sequence[Asked], served: Sequence[Served]) -> list[Served | None]:
    """Return what the log says of each call; None where it does not say which was which.

    Calls are told apart by their lengths, and those of the same lengths by the order in which they ended.
    """
    by_length: dict[tuple[int, int], list[Served]] = defaultdict(list)
    for one in served:
        by_length[one.prompt_tokens, one.output_tokens].append(one)
    places: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place in sorted(range(len(asked)), key=lambda place: asked[place].end_s):
        places[asked[place].prompt_tokens, asked[place].output_tokens].append(place)
    found: list[Served | None] = [None] * len(asked)
    for length, mine in places.items():
        if len(by_length[length]) == len(mine):
            for place, one in zip(mine, by_length[length], strict=True):
                found[place] = one
    return found
