"""Steps between changes of the batch, in closed form.

With n slots generating, and X tokens of context between them, k steps take k(a + b n + c X) + c n k(k-1)/2 seconds: the
first takes f = a + b n + c X, and each next one g = c n longer.
"""

from __future__ import annotations

from heapq import heappop

from harness.core.server_request import Request

__all__ = ["answers_begin", "boundary"]


def boundary(begin_s: float, first_s: float, growth_s: float, now_s: float) -> tuple[int, float]:
    """Return the first end of a step that is not before `now_s`: after how many steps, and when.

    Args:
        begin_s: when the first step began.
        first_s, growth_s: how long it takes, and how much longer each next one takes; not both 0.
        now_s: not before `begin_s`.
    """
    if growth_s:
        # Smallest k with k f + g k(k-1)/2 >= t, from the root of the quadratic; the loops correct its rounding.
        half = first_s - growth_s / 2
        passed_s = now_s - begin_s
        steps = int(((half * half + 2 * growth_s * passed_s) ** 0.5 - half) / growth_s)
        end_s = begin_s + steps * first_s + growth_s * (steps * (steps - 1) // 2)
        while end_s >= now_s:
            steps -= 1
            end_s = begin_s + steps * first_s + growth_s * (steps * (steps - 1) // 2)
        while end_s < now_s:
            steps += 1
            end_s = begin_s + steps * first_s + growth_s * (steps * (steps - 1) // 2)
        return steps, end_s
    steps = int((now_s - begin_s) / first_s)
    end_s = begin_s + steps * first_s
    while end_s < now_s:
        steps += 1
        end_s = begin_s + steps * first_s
    return steps, end_s


def answers_begin(
    thinking: list[tuple[int, int, Request]],
    step: int,
    steps: int,
    begin_s: float,
    first_s: float,
    growth_s: float,
    end_s: float,
) -> None:
    """Note when the answers began whose first token came in a segment that has ended; nothing stops for that.

    Args:
        thinking: a heap of (step after which the first token of the answer is there, serial, request).
        step: the number of the segment's last step.
        steps, begin_s, first_s, growth_s, end_s: of the segment.
    """
    while thinking and thinking[0][0] <= step:
        at, _, request = heappop(thinking)
        if request.end_s is not None:  # it was cancelled
            continue
        n = at - (step - steps)
        request.answer_s = end_s if at == step else begin_s + n * first_s + growth_s * (n * (n - 1) // 2)
