"""The timelines as data for the page's script: columns of numbers, and every text once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.analysis.slots import InSlot
from harness.analysis.timeline import Timeline
from harness.report.text import plain

__all__ = ["FIELDS", "timeline_data"]

# What a call's row holds, in this order. Fields that end in `_text` are numbers of texts.
FIELDS = (
    "pipeline_text",
    "node_text",
    "job",
    "item",
    "iteration",
    "attempt",
    "server",
    "lane",
    "ready_s",
    "started_s",
    "sent_s",
    "slot_s",
    "prefill_s",
    "decode_s",
    "end_s",
    "outcome_text",
    "prompt_tokens",
    "output_tokens",
    "thinking_tokens",
    "agent_text",
    "model_text",
    "error_text",
)
_DIGITS = 4  # of a second: a tenth of a millisecond
_LONGEST_ERROR = 300

_Time = Callable[[float | None], float | None]


def timeline_data(timelines: Sequence[Timeline], digits: int | None = _DIGITS) -> dict[str, Any]:
    """Return what `report.js` draws: `{fields, texts, timelines}`; `digits` None: times are not rounded."""
    texts: dict[str, int] = {}

    def time(value_s: float | None) -> float | None:
        return value_s if value_s is None or digits is None else round(value_s, digits)

    def text(value: str) -> int:
        return texts.setdefault(plain(value), len(texts))

    drawn = []
    for timeline in timelines:
        drawn.append(
            {
                "candidate": text(timeline.candidate),
                "repeat": timeline.repeat,
                "median": timeline.median,
                "makespan_s": time(timeline.makespan_s),
                "until_s": time(timeline.until_s),
                "calls_of_trial": timeline.calls,
                "servers": [
                    {
                        "name": text(server.server),
                        "lanes": server.lanes,
                        "slots": server.slots,
                        "waiting": [
                            [time(at.time_s), round(at.router, 2), round(at.server, 2)] for at in server.waiting
                        ],
                    }
                    for server in timeline.servers
                ],
                "calls": [
                    _row(bar, number, text, time)
                    for number, server in enumerate(timeline.servers)
                    for bar in server.bars
                ],
            }
        )
    return {"fields": FIELDS, "texts": list(texts), "timelines": drawn}


def _row(bar: InSlot, server: int, text: Callable[[str], int], time: _Time) -> list[int | float | None]:
    call, reply = bar.call, bar.call.reply
    return [
        text(call.pipeline),
        text(call.node),
        call.job,
        call.item,
        call.iteration,
        call.attempt,
        server,
        bar.slot,
        time(call.ready_s),
        time(call.started_s),
        time(reply.sent_s),
        time(bar.start_s),
        time(bar.prefill_s),
        time(bar.decode_s),
        time(bar.end_s),
        text(reply.outcome),
        reply.prompt_tokens,
        reply.output_tokens,
        reply.thinking_tokens,
        text(call.agent),
        text(call.model),
        None if reply.error is None else text(reply.error[:_LONGEST_ERROR]),
    ]
