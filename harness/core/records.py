"""The records: flat, immutable, raw. Analysis, verdicts and reports read these and nothing else.

Times ending in `_s` are seconds on the run's one monotonic clock, zero at the start of the trial; durations are seconds
too. Nothing is rounded here. `None` means "not known", never zero.

A `NamedTuple` because it is the cheapest immutable record there is in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal, NamedTuple

__all__ = [
    "NOT_NEEDED",
    "PREDICTED",
    "CallRecord",
    "ChatRequest",
    "DelayRecord",
    "EmbedRequest",
    "JobRecord",
    "Origin",
    "Outcome",
    "Path",
    "QueueSource",
    "Reply",
    "TrialRecord",
]

Path = Literal["batch", "interactive"]
Origin = Literal["measured", "emulated", "predicted", "estimated", "published", "assumed"]
Outcome = Literal["ok", "error", "timeout", "rejected", "cancelled"]
QueueSource = Literal["exact", "residual", "unknown"]

# Simulated in virtual time; `estimated`: on a profile that nobody measured.
PREDICTED: frozenset[Origin] = frozenset({"predicted", "estimated"})

# The error of a call that was dropped or cancelled because others had been enough: nothing went wrong with it.
NOT_NEEDED = "no longer needed"


class ChatRequest(NamedTuple):
    """What one call asks of a server."""

    system: str | None
    user: str
    options: Mapping[str, Any]  # complete: nothing is added to it
    stream: bool  # where the time of the first token matters
    format: str | None = None
    history: tuple[tuple[str, str], ...] = ()  # what was asked before in this conversation, and answered
    images: tuple[str, ...] = ()  # of the last message, as data URLs
    think: bool | str = False  # hidden tokens before the answer; a word: how much, as the model knows it
    keep_alive: int | str | None = None  # how long to keep the model afterwards; None: it is not said
    shown_before: tuple[tuple[str, ...], ...] = ()  # the images of each question of `history`; (): there are none


class EmbedRequest(NamedTuple):
    """Texts that a server is asked to turn into vectors."""

    texts: tuple[str, ...]


class Reply(NamedTuple):
    """What a driver learned about one call that it carried out. Server fields are the server's own clock."""

    outcome: Outcome
    sent_s: float | None = None  # the request left for the server: after the throttle
    first_token_s: float | None = None  # of the answer; only known where the call was streamed
    end_s: float | None = None
    error: str | None = None  # one line: what the server or the transport said; of an ok call: what was left out
    done_reason: str | None = None  # "stop", "length", ... as the server gave it
    prompt_tokens: int | None = None  # all prompt tokens, cached ones included
    output_tokens: int | None = None
    total_s: float | None = None  # the server's total_duration
    load_s: float | None = None
    prefill_s: float | None = None  # prompt_eval_duration
    decode_s: float | None = None  # eval_duration: first to last token
    queue_s: float | None = None  # exact, where the server tells it
    # From here on: see `_LATER`. Of a managed Ollama its log tells the first two, after the trial.
    cached_tokens: int | None = None  # prompt tokens found in the server's cache
    slot: int | None = None  # of its server, from 0
    first_thought_s: float | None = None  # of a call that thinks, where it was streamed: before `first_token_s`
    thinking_tokens: int | None = None  # of `output_tokens`, before the answer; None: it did not think, or not known


class CallRecord(NamedTuple):
    """One attempt at one call to a model; of an embedding, at one request, which has no agent and no output tokens."""

    candidate: str
    repeat: int  # 0, 1, ...; warm-up repeats are not recorded
    origin: Origin
    pipeline: str
    path: Path
    job: int
    node: str
    item: int  # which item of a fan-out; 0 for a plain node
    iteration: int  # how often this node had run before in this job; 0 outside loops
    attempt: int  # 0 for the first
    call: int  # serial number within the trial, in the order of dispatch from the walk
    agent: str
    model: str
    server: str
    ready_s: float  # its predecessors were done
    started_s: float | None  # the router let it go; None where it never did
    reply: Reply  # last: see `from_json`

    @property
    def outcome(self) -> Outcome:
        """`ok`, or how the call failed."""
        return self.reply.outcome

    @property
    def embeds(self) -> bool:
        """Whether it asked for vectors and not for an answer."""
        return not self.agent

    @property
    def not_needed(self) -> bool:
        """Whether it was given up because others had been enough: no failure."""
        return self.reply.outcome == "cancelled" and self.reply.error == NOT_NEEDED

    @property
    def router_wait_s(self) -> float | None:
        """Ready until the router let it go."""
        return None if self.started_s is None else self.started_s - self.ready_s

    @property
    def throttle_wait_s(self) -> float | None:
        """Let go by the router until really sent: pacing by `starts_per_s`."""
        if self.started_s is None or self.reply.sent_s is None:
            return None
        return self.reply.sent_s - self.started_s

    @property
    def wall_s(self) -> float | None:
        """Sent until its last token had arrived, on the client's clock."""
        if self.reply.sent_s is None or self.reply.end_s is None:
            return None
        return self.reply.end_s - self.reply.sent_s

    @property
    def client_s(self) -> float | None:
        """The client's share of the wall time: what the server's own total does not contain."""
        if self.wall_s is None or self.reply.total_s is None:
            return None
        return self.wall_s - self.reply.total_s

    @property
    def residual_s(self) -> float | None:
        """What is in the server's total but in none of load, prefill and decode (reference 1.5)."""
        r = self.reply
        if r.total_s is None or r.prefill_s is None or r.decode_s is None:
            return None
        return r.total_s - (r.load_s or 0.0) - r.prefill_s - r.decode_s

    @property
    def decode_tokens_per_s(self) -> float | None:
        """(tokens - 1) / decode time: the first token comes out of the prefill."""
        r = self.reply
        if not r.decode_s or r.output_tokens is None or r.output_tokens < 2:
            return None
        return (r.output_tokens - 1) / r.decode_s

    def to_json(self) -> dict[str, Any]:
        """Flatten into one JSON object; `from_json` is its inverse."""
        flat = self._asdict()
        del flat["reply"]
        return {**flat, **self.reply._asdict()}

    @classmethod
    def from_json(cls, flat: dict[str, Any]) -> CallRecord:
        """Rebuild a record from `to_json`'s object; unknown keys are ignored, missing ones raise KeyError.

        What older runs don't have (`_LATER`) may be missing.
        """
        # By position: a hundred thousand of these are read for one report.
        return cls._make((*_OWN(flat), Reply._make((*_TOLD(flat), *map(flat.get, _LATER)))))


_LATER = Reply._fields[Reply._fields.index("cached_tokens") :]  # fields that older runs don't have
_OWN = itemgetter(*CallRecord._fields[:-1])
_TOLD = itemgetter(*Reply._fields[: -len(_LATER)])


class SlotRecord(NamedTuple):
    """What a server's log says of a call that its reply does not: written when the trial has ended."""

    candidate: str
    repeat: int
    call: int
    slot: int
    cached_tokens: int


class DelayRecord(NamedTuple):
    """One tool delay of one job."""

    candidate: str
    repeat: int
    origin: Origin
    pipeline: str
    job: int
    node: str
    start_s: float
    end_s: float
    iteration: int = 0  # how often this node had run before in this job


class JobRecord(NamedTuple):
    """One pass through a pipeline. Its pipeline time counts from `due_s`: a late start is in it."""

    candidate: str
    repeat: int
    origin: Origin
    pipeline: str
    path: Path
    job: int
    due_s: float  # when it was intended to start
    arrived_s: float  # when the engine handled its arrival
    end_s: float
    outcome: Outcome
    calls: int  # attempts recorded for it, those still in flight when it ended included
    session: int | None = None  # the conversation that it is a turn of
    turn: int = 0  # which
    error: str | None = None  # why it failed, where no call did: a rule that matched nothing
    replied_s: float | None = None  # its node with `answers` was done; None: there is none, or it did not run

    @property
    def reply_end_s(self) -> float:
        """When a person has the reply: at the end of the job, where no node is said to answer."""
        return self.end_s if self.replied_s is None else self.replied_s

    @property
    def pipeline_time_s(self) -> float:
        """End-to-end time from the intended start, on interactive paths the reply time."""
        return self.reply_end_s - self.due_s


class TrialRecord(NamedTuple):
    """One candidate, once: a trial. Written when it has ended; its absence means that the trial was interrupted."""

    candidate: str
    repeat: int
    origin: Origin
    position: int  # its place in the interleaved order of the whole run
    started_at: str  # wall-clock time, RFC 3339, for people only
    makespan_s: float  # first intended start to last end
    loop_lag_p99_s: float | None  # lateness of the client's own event loop; None where there is none
    complete: bool  # every job that was due has ended
    other_cores: float | None = None  # cores that programs other than this run's own kept busy; None = not known
