"""Answers that filled their slot: the context had no room for more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.analysis.facts import FilledSlots
from harness.analysis.model import CandidateSummary
from harness.runs.model import Run

__all__ = ["filled_slots"]


def filled_slots(run: Run, candidates: Sequence[CandidateSummary]) -> Iterator[FilledSlots]:
    """Find where answers filled the context of a slot, by server.

    Such an answer ends there, or goes on without the beginning of its prompt: either way it is not the answer that was
    asked for, and where it ended its call took less time.
    """
    uses = {use.server: use for candidate in candidates for use in candidate.servers if use.need is not None}
    if not uses:
        return  # without a look at a million calls
    filled: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for call in run.calls:
        if call.server not in uses or call.embeds or call.outcome != "ok":
            continue
        answers[call.server] += 1
        tokens = (call.reply.prompt_tokens or 0) + (call.reply.output_tokens or 0)
        filled[call.server] += tokens >= uses[call.server].context_tokens
    for server, use in uses.items():
        if filled[server]:
            yield FilledSlots(server, filled[server], answers[server], use.context_tokens, use.context_to_set)
