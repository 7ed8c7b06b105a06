"""Which prompt tokens a step takes: slot by slot in slot order, until the batch is full."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from harness.core.server_request import Request
from harness.core.step_costs import prompt_attention

__all__ = ["take_prompts"]

_slot: Final = attrgetter("slot")


def take_prompts(prompts: list[Request], pieces: list[tuple[Request, int]], room: int, now_s: float) -> tuple[int, int]:
    """Fill the batch of the step that begins now; return its prompt tokens, and their attention A (`step_costs`).

    Args:
        prompts: calls whose prompts are not done; they are put in slot order.
        pieces: empty; what the step takes of each is put there.
        room: tokens that have room.
        now_s: of a prompt of which nothing was taken yet, the processing begins.
    """
    if len(prompts) > 1:
        prompts.sort(key=_slot)
    attention = total = 0
    for request in prompts:
        before = request.prompt_done
        tokens = request.prompt_tokens - before
        if tokens > room:
            if not room:
                break
            tokens = room
        if request.prompt_s is None:
            request.prompt_s = now_s
        attention += prompt_attention(before, tokens)
        pieces.append((request, tokens))
        room -= tokens
        total += tokens
    return total, attention
