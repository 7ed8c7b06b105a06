"""Who starts when: open and closed loops, conversations, `while` and `after`. It knows no clock either.

An arrival opens a conversation of several turns, a job each, or starts one job where a pipeline has no `session`. What
follows is known one step ahead: the next opening of an open loop, the next turn of every conversation under way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from harness.core.events import Arrive, Ask
from harness.core.graph import Pipeline

__all__ = ["Admitted", "Arrivals", "turns_of"]

NEVER: Final = 1 << 62  # more jobs than any pipeline ever starts
OPENS: Final = -1  # the `user` of an arrival that opens a conversation of an open loop


class Admitted(NamedTuple):
    """A job that starts now."""

    number: int
    due_s: float
    user: int  # to be handed to `ended`
    session: int = -1  # its conversation; -1 = none
    turn: int = 0


def turns_of(pipeline: Pipeline, session: int, seed: int, repeat: int) -> int:
    """Return how many turns a conversation has, unless `jobs` ends it before; 1 without sessions."""
    if pipeline.session is None:
        return 1
    return max(1, round(pipeline.session.turns.draw(seed, repeat, pipeline.drawn_by, session, "turns")))


class _Conversation:
    """Where one conversation stands. Its jobs are numbered one after the other, whatever others do meanwhile."""

    __slots__ = ("first", "session", "turn", "turns")

    def __init__(self, session: int, first: int, turns: int) -> None:
        self.session = session
        self.first = first
        self.turns = turns
        self.turn = 0


class _State:
    """How far one pipeline is."""

    __slots__ = (
        "conversations",
        "ended",
        "given",
        "jobs",
        "plain",
        "rounds",
        "running",
        "started",
        "stopped",
        "times",
        "users",
    )

    def __init__(self, pipeline: Pipeline) -> None:
        self.jobs = NEVER if pipeline.jobs is None else pipeline.jobs
        self.users = pipeline.arrival.users
        self.times: Iterator[float] = iter(())  # of an open loop, from when it was opened
        self.plain = pipeline.session is None and pipeline.arrival.think.kind == "fixed"
        self.given = 0  # numbers given to jobs: those started, and turns to come
        self.started = 0
        self.running = 0
        self.conversations: dict[int, _Conversation] = {}  # under way, by user
        self.rounds: dict[int, int] = {}  # closed loop: conversations, or jobs, that a user has begun
        self.stopped = False  # the pipeline it runs beside has ended: nothing new starts
        self.ended = False


class Arrivals:
    """The arrivals of all pipelines of one trial.

    Args:
        pipelines: with their arrivals and sessions.
        seed, repeat: keys of the draws.
    """

    def __init__(self, pipelines: tuple[Pipeline, ...], seed: int = 0, repeat: int = 0) -> None:
        for pipeline in pipelines:
            if pipeline.jobs is None and not (pipeline.arrival.endless or pipeline.arrival.starts):
                raise ValueError(f"pipeline {pipeline.name!r} has no end: jobs, users or a pace is needed")
        self._pipelines = pipelines
        self._states = tuple(_State(pipeline) for pipeline in pipelines)
        self._seed = seed
        self._repeat = repeat
        self._left = len(pipelines)

    @property
    def finished(self) -> bool:
        """Whether every pipeline has ended."""
        return self._left == 0

    def counts(self) -> list[tuple[int, int]]:
        """Return for every pipeline how many jobs have started, and how many of those have ended."""
        return [(state.started, state.started - state.running) for state in self._states]

    def open(self, now_s: float) -> list[Arrive]:
        """Return the first arrivals of every pipeline that waits for no other."""
        return [a for index, p in enumerate(self._pipelines) if p.after is None for a in self._open(index, now_s)]

    def admit(self, event: Arrive, now_s: float) -> tuple[list[Admitted], Arrive | None]:
        """Return the jobs that start now, and the next arrival to wait for.

        Everything else that is due by now starts in the same batch: simultaneous arrivals are one event, and a late
        event does not delay those behind it.
        """
        pipeline, user, due_s = event
        state = self._states[pipeline]
        admitted: list[Admitted] = []
        if state.stopped:
            return admitted, None
        if due_s > now_s:  # a clock that is read a little early
            return admitted, event
        if state.conversations and (under_way := state.conversations.get(user)) is not None:
            state.started += 1
            state.running += 1
            turn = under_way.turn
            return [Admitted(under_way.first + turn, due_s, user, under_way.session, turn)], None
        following_s: float | None = due_s
        while following_s is not None and following_s <= now_s and state.given < state.jobs:
            if state.plain:
                admitted.append(tuple.__new__(Admitted, (state.given, following_s, user, -1, 0)))
                state.given += 1
            else:
                admitted.append(self._begun(pipeline, user, following_s))
            following_s = None if state.users else next(state.times, None)
        number = len(admitted)
        state.started += number
        state.running += number
        if following_s is None:
            if not state.users and state.given < state.jobs:
                state.jobs = state.given  # the list of times has come to its end
            return admitted, None
        if state.given >= state.jobs:
            return admitted, None
        return admitted, tuple.__new__(Arrive, (pipeline, user, following_s))

    def came(self, event: Ask) -> Admitted:
        """Return the job of a request from outside: it brings its number and conversation; nothing is kept."""
        state = self._states[event.pipeline]
        state.started += 1
        state.running += 1
        return Admitted(event.job, event.due_s, 0, event.session)

    def ended(self, pipeline: int, user: int, now_s: float, *, replied: bool = False) -> list[Arrive]:
        """Note that a job of `pipeline` ended; return the arrivals that follow from it.

        With `replied` its user has had the reply before, and went on from there.
        """
        self._states[pipeline].running -= 1
        return ([] if replied else self.replied(pipeline, user, now_s)) or self._close(pipeline, now_s)

    def replied(self, pipeline: int, user: int, now_s: float) -> list[Arrive]:
        """Return what a user does who has the reply: the next turn, job or conversation; call it once a job."""
        state = self._states[pipeline]
        if state.conversations and not state.stopped:
            conversation = state.conversations[user]
            spec = self._pipelines[pipeline]
            conversation.turn += 1
            if conversation.turn < conversation.turns:
                assert spec.session is not None
                key = (self._repeat, spec.drawn_by, conversation.session, conversation.turn, "think")
                return [Arrive(pipeline, user, now_s + spec.session.think.draw(self._seed, *key))]
            del state.conversations[user]
        if state.given < state.jobs and not state.stopped:
            return [Arrive(pipeline, user, now_s + self._think_s(pipeline, user))] if state.users else []
        return []

    def _begun(self, pipeline: int, user: int, due_s: float) -> Admitted:
        """Give out the next number: a job's, or those of all turns of a conversation that opens."""
        state, spec = self._states[pipeline], self._pipelines[pipeline]
        number = state.given
        if spec.session is None:
            state.given += 1
            state.rounds[user] = state.rounds.get(user, 0) + 1
            return Admitted(number, due_s, user)
        # Which conversation a user's next one is does not depend on how fast the others' are: common random numbers.
        ordinal = state.rounds.get(user, 0)
        state.rounds[user] = ordinal + 1
        session = ordinal * state.users + user if state.users else ordinal
        turns = min(turns_of(spec, session, self._seed, self._repeat), state.jobs - number)
        state.given += turns
        who = user if state.users else session
        state.conversations[who] = _Conversation(session, number, turns)
        return Admitted(number, due_s, who, session)

    def _think_s(self, pipeline: int, user: int) -> float:
        """Draw how long a user of a closed loop waits before the next job, or the next conversation."""
        state, spec = self._states[pipeline], self._pipelines[pipeline]
        following = state.rounds.get(user, 0) * state.users + user
        return spec.arrival.think.draw(self._seed, self._repeat, spec.drawn_by, following, 0, "think")

    def _open(self, pipeline: int, now_s: float) -> list[Arrive]:
        spec, state = self._pipelines[pipeline], self._states[pipeline]
        state.times = spec.arrival.times(now_s, self._seed, self._repeat, spec.drawn_by)
        if state.users:
            users = range(min(state.users, state.jobs))
            return [Arrive(pipeline, user, due_s) for user, due_s in zip(users, state.times, strict=False)]
        due_s = next(state.times, None)
        return [] if due_s is None else [Arrive(pipeline, 0 if spec.session is None else OPENS, due_s)]

    def _close(self, pipeline: int, now_s: float) -> list[Arrive]:
        """End the pipeline if none of it can come any more, and tell those that waited for that."""
        state = self._states[pipeline]
        if state.ended or state.running or (state.started < state.jobs and not state.stopped):
            return []
        state.ended = True
        self._left -= 1
        arrivals: list[Arrive] = []
        for index, other in enumerate(self._pipelines):
            if other.until == pipeline:
                self._states[index].stopped = True
                arrivals += self._close(index, now_s)
            if other.after == pipeline:
                arrivals += self._open(index, now_s)
        return arrivals
