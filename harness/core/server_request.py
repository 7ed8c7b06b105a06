"""Calls as a server model sees them: how long they are, and when what became of them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

__all__ = ["NEVER_S", "Begins", "Request", "Turn", "held_tokens", "left_s"]

NEVER_S: Final = float("inf")  # when something is due that nothing has called for
Begins = tuple[tuple[Hashable, int], ...]


class Request:
    """One call on its way through a server; the model fills in the times as they come to be."""

    # Slots in `Turn`: only turns of conversations pay for them.
    thread: Hashable | None = None
    cached_tokens: int = 0  # prompt tokens that its slot held when it was admitted
    # What it begins with, as others may: (what, tokens), the longest first. Of a turn.
    begins: Begins = ()
    usual: int = 0  # prompt tokens that a slot holds which nothing of this trial was in yet. Of a turn
    # A slot in those that ask for vectors: how many texts there are in the prompt, which has a token of each at least.
    texts: int = 0

    __slots__ = (
        "answer_s",
        "call",
        "cancelled",
        "end_s",
        "first_token_s",
        "output_tokens",
        "prompt_done",
        "prompt_s",
        "prompt_tokens",
        "queued_s",
        "sent_s",
        "slot",
        "thinking_tokens",
    )

    def __init__(self, call: int, prompt_tokens: int, output_tokens: int, sent_s: float = 0.0) -> None:
        if prompt_tokens < 1 or output_tokens < 1:
            raise ValueError(
                f"expected at least one prompt and one output token, found {prompt_tokens}, {output_tokens}"
            )
        self.call = call
        self.prompt_tokens = prompt_tokens
        # To be generated, exactly; of a cancelled call: that were; `harness.core.context.REFUSED`: it is not answered.
        self.output_tokens = output_tokens
        self.sent_s = sent_s  # the client's; the model does not look at it
        self.queued_s: float  # it stood in the queue
        self.prompt_done = 0  # prompt tokens processed
        self.prompt_s: float | None = None  # processing of its prompt began
        self.first_token_s: float | None = None
        self.thinking_tokens = 0  # of what it generates, before its answer
        self.answer_s: float | None = None  # where it thinks: the first token of its answer
        self.end_s: float | None = None  # its last token was there, or it was let go
        self.cancelled = False
        self.slot = -1

    @property
    def shown_s(self) -> float | None:
        """When the first token of its answer is there: what it thinks before is not shown."""
        return self.answer_s if self.thinking_tokens else self.first_token_s


class Turn(Request):
    """A call whose prompt goes on where the last one of its thread ended: a turn of a conversation, at one node."""

    __slots__ = ("begins", "cached_tokens", "thread", "usual")

    def __init__(
        self,
        call: int,
        prompt_tokens: int,
        output_tokens: int,
        sent_s: float = 0.0,
        *,
        thread: Hashable = None,
        begins: Begins = (),
        usual: int = 0,
    ) -> None:
        Request.__init__(self, call, prompt_tokens, output_tokens, sent_s)
        self.thread, self.begins, self.usual = thread, begins, usual
        self.cached_tokens = 0


def held_tokens(last: Request | None, request: Request) -> int:
    """Return how many tokens of a prompt are there already where `last` was; its own last token was never read.

    All of it, where the prompt goes on with that one; else what both begin with.
    """
    if last is None or last.thread is None:
        return 0
    if last.thread == request.thread:
        tokens = _goes_on(last)
    elif last.begins and request.begins:
        tokens = min(_in_common(last.begins, request.begins), last.prompt_done)
    else:
        return 0
    return min(tokens, request.prompt_tokens - 1)


def _goes_on(last: Request) -> int:
    """Return how many tokens of what a turn left the next one can find; its own last token was never read.

    A turn that thought is found only up to its thinking: the next prompt has its answer alone.
    """
    return last.prompt_done + (0 if last.first_token_s is None or last.thinking_tokens else last.output_tokens - 1)


def _in_common(first: Begins, second: Begins) -> int:
    known = dict(second)
    return next((min(tokens, known[what]) for what, tokens in first if what in known), 0)


def left_s(last: Request | None) -> float:
    """Return when a slot was left by who was last in it; minus infinity where nobody was, or is still there."""
    return -NEVER_S if last is None or last.end_s is None else last.end_s
