"""Calls as a server model sees them: how long they are, and when what became of them."""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Request", "Turn"]


class Request:
    """One call on its way through a server; the model fills in the times as they come to be."""

    # Slots in `Turn`: only turns of conversations pay for them.
    thread: Hashable | None = None
    cached_tokens: int = 0  # prompt tokens that its slot held when it was admitted

    __slots__ = (
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
    )

    def __init__(self, call: int, prompt_tokens: int, output_tokens: int, sent_s: float = 0.0) -> None:
        if prompt_tokens < 1 or output_tokens < 1:
            raise ValueError(
                f"expected at least one prompt and one output token, found {prompt_tokens}, {output_tokens}"
            )
        self.call = call
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens  # to be generated, exactly; of a cancelled call: that were
        self.sent_s = sent_s  # the client's; the model does not look at it
        self.queued_s: float  # it stood in the queue
        self.prompt_done = 0  # prompt tokens processed
        self.prompt_s: float | None = None  # processing of its prompt began
        self.first_token_s: float | None = None
        self.end_s: float | None = None  # its last token was there, or it was let go
        self.cancelled = False
        self.slot = -1


class Turn(Request):
    """A call whose prompt goes on where the last one of its thread ended: a turn of a conversation, at one node."""

    __slots__ = ("cached_tokens", "thread")

    def __init__(
        self, call: int, prompt_tokens: int, output_tokens: int, sent_s: float = 0.0, *, thread: Hashable
    ) -> None:
        Request.__init__(self, call, prompt_tokens, output_tokens, sent_s)
        self.thread = thread
        self.cached_tokens = 0
