"""What becomes of a call that does not fit into the context of a slot.

What servers do with a prompt that is too long, and what a record of it says:

    refuses   400, in the words of llama.cpp, when a slot takes the call up: outcome `error`
    cuts      Ollama keeps half a context of the prompt, answers from that, and says 200. An answer to another question
              is no result, so a prediction has it as an `error` too, as a measured run has a conversation that was cut

An answer for which a prompt leaves too little room ends there, as `length`; a server that cuts goes on with a shorter
memory.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

__all__ = ["REFUSED", "Context", "TooLong", "enough_tokens"]

TooLong = Literal["refuses", "cuts"]
PROMPT_MARGIN = 1.1  # predicted prompts are off by up to so much (`text.held_out` of a profile)
CONTEXT_STEP = 256  # tokens
REFUSED = 0  # answer tokens of a call that is not answered


def enough_tokens(prompt_tokens: float, output_tokens: float) -> int:
    """Return the context that a call needs, with a tenth more for its prompt, in steps of 256 tokens."""
    return math.ceil((PROMPT_MARGIN * prompt_tokens + output_tokens) / CONTEXT_STEP) * CONTEXT_STEP


class Context(NamedTuple):
    """The context of a slot."""

    tokens: int
    too_long: TooLong = "refuses"

    def answered(self, prompt_tokens: int, output_tokens: int) -> int:
        """Return how many tokens the answer has in the end; `REFUSED` where the prompt does not fit."""
        if prompt_tokens >= self.tokens:
            return REFUSED
        return output_tokens if self.too_long == "cuts" else min(output_tokens, self.tokens - prompt_tokens)

    def refusal(self, prompt_tokens: int) -> str:
        """Return what a server that refuses such a prompt says."""
        return (
            f"request ({prompt_tokens} tokens) exceeds the available context size ({self.tokens} tokens), "
            "try increasing it"
        )

    def error(self, prompt_tokens: int) -> str:
        """Return the error of the record of such a call."""
        if self.too_long == "cuts":
            return (
                f"the prompt has {prompt_tokens} tokens and a slot {self.tokens}: the server answers from "
                f"{self.tokens // 2 + 2} of them"
            )
        return f"400: {self.refusal(prompt_tokens)}"
