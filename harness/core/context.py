"""What becomes of a call that does not fit into the context of a slot.

What servers do with a prompt that is too long, and what a record of it says:

    refuses   400, in the words of llama.cpp, when a slot takes the call up: outcome `error`
    cuts      Ollama keeps about half a context of the prompt, answers from that, and says 200. An answer to another
              question is no result: it is an `error` that begins with "truncated", when the answer has ended, in a
              prediction and, where it can be told from the counts, in a measured run

An answer for which a prompt leaves too little room ends there, as `length`; a server that cuts goes on with a shorter
memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

__all__ = ["ABOUT", "REFUSED", "CallNeed", "Context", "HowSure", "TooLong", "enough_tokens"]

TooLong = Literal["refuses", "cuts"]
PROMPT_MARGIN: Final = 1.1  # predicted prompts are off by up to so much (`text.held_out` of a profile)
CONTEXT_STEP = 256  # tokens
NUM_KEEP: Final = 4  # tokens of the beginning that Ollama keeps when it cuts a prompt (its `num_keep`)
CLEARLY = 1.25  # an estimate that is this many times a count is no chance
REFUSED: Final = 0  # answer tokens of a call that is not answered


def enough_tokens(prompt_tokens: float, output_tokens: float) -> int:
    """Return the context that a call needs, with a tenth more for its prompt, in steps of 256 tokens."""
    return math.ceil((PROMPT_MARGIN * prompt_tokens + output_tokens) / CONTEXT_STEP) * CONTEXT_STEP


HowSure = Literal["fixed", "largest", "percentile"]
ABOUT: Mapping[HowSure, str] = {  # how to say the tokens of the longest call
    "fixed": "about",
    "largest": "up to about",
    "percentile": "(sizes without a bound at their 99.9th percentile) about",
}


class CallNeed(NamedTuple):
    """The context that the longest call of a node needs, of a conversation in its last turn.

    how_sure: of its sizes. `fixed` all calls are as long; `largest` no call is longer; `percentile` a size without a
    bound is taken at its 99.9th percentile. The tokens of texts are an estimate.
    """

    pipeline: str
    node: str
    prompt_tokens: int
    output_tokens: int
    how_sure: HowSure = "fixed"

    @property
    def tokens(self) -> int:
        """Of prompt and answer."""
        return self.prompt_tokens + self.output_tokens

    @property
    def enough(self) -> int:
        """The context to set for it."""
        return enough_tokens(self.prompt_tokens, self.output_tokens)

    @property
    def words(self) -> str:
        """What it needs, as a clause."""
        return f'a call of "{self.node}" in {self.pipeline} needs {ABOUT[self.how_sure]} {self.tokens} tokens'


class Context(NamedTuple):
    """The context of a slot."""

    tokens: int
    too_long: TooLong = "refuses"

    def answered(self, prompt_tokens: int, output_tokens: int) -> int:
        """Return how many tokens the answer has in the end; `REFUSED` where there is none."""
        if self.too_long == "cuts":
            return output_tokens
        return REFUSED if prompt_tokens >= self.tokens else min(output_tokens, self.tokens - prompt_tokens)

    def read(self, prompt_tokens: int) -> int:
        """Return how many tokens of a prompt are read; fewer than it has where it is truncated."""
        if self.too_long != "cuts" or prompt_tokens < self.tokens:
            return prompt_tokens
        return _left(self.tokens, NUM_KEEP)

    def refusal(self, prompt_tokens: int) -> str:
        """Return what a server that refuses such a prompt says."""
        return (
            f"request ({prompt_tokens} tokens) exceeds the available context size ({self.tokens} tokens), "
            "try increasing it"
        )

    def error(self, prompt_tokens: int) -> str:
        """Return the error of the record of such a call."""
        if self.too_long == "cuts":
            return _truncated(self.read(prompt_tokens), str(prompt_tokens), self.tokens)
        return f"400: {self.refusal(prompt_tokens)}"

    def seen_truncated(self, read_tokens: int, about_tokens: int) -> str | None:
        """Return the error of a call whose prompt was truncated, as far as the tokens read show it; else None.

        Args:
            read_tokens: of the prompt, as the server counted them.
            about_tokens: what the prompt should have, estimated.

        A truncated prompt has one of few lengths. Old versions fill the whole context. Of the others the estimate has
        to be well above it, because a prompt may have just this length by itself.
        """
        if self.too_long != "cuts":
            return None
        half = {_left(self.tokens, NUM_KEEP), _left(self.tokens, NUM_KEEP + 1)}  # tokenizers that add a first token
        if read_tokens >= self.tokens or (read_tokens in half and about_tokens > CLEARLY * read_tokens):
            return _truncated(read_tokens, f"about {max(about_tokens, read_tokens)}", self.tokens)
        return None


def _left(context_tokens: int, keep: int) -> int:
    """Return what Ollama leaves of a prompt that is too long (`contextShiftPromptLimit`, llm/llama_server.go, 0.33)."""
    keep = min(keep, context_tokens - 1)
    return context_tokens - max((context_tokens - keep) // 2, 1)


def _truncated(read: int, whole: str, context: int) -> str:
    return f"truncated: the server answered from {read} of {whole} prompt tokens, because a slot has {context}"
