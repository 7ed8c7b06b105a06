"""What was said in the conversations under way: the turns before, as each agent node sees them."""

from __future__ import annotations

from typing import NamedTuple

from harness.core.records import Reply

__all__ = ["Conversations"]

Place = tuple[str, int]  # node, item


class _Said(NamedTuple):
    """One exchange."""

    asked: str
    answered: str
    tokens: int | None  # of the whole prompt, as the server counted them


class _Conversation:
    def __init__(self) -> None:
        self.before: dict[Place, list[_Said]] = {}  # of the turns that have ended
        self.turn: dict[Place, _Said] = {}  # of the turn under way; of a loop, its last pass
        self.ended_job = -1  # jobs are numbered in the order of the turns


class Conversations:
    """The conversations of one trial, by pipeline and number. What makes a prompt unique is not among the texts."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, int], _Conversation] = {}

    def history(self, pipeline: str, session: int, node: str, item: int) -> tuple[tuple[str, str], ...]:
        """Return what this node was asked in the turns before, about this item, and what it answered."""
        conversation = self._all.setdefault((pipeline, session), _Conversation())
        return tuple((said.asked, said.answered) for said in conversation.before.get((node, item), ()))

    def keep(
        self, pipeline: str, session: int, node: str, item: int, job: int, asked: str, answered: str, reply: Reply
    ) -> Reply:
        """Keep an exchange for the turns to come; return its reply, as an error where the server cut the conversation.

        A server that has no room for all of it may drop the oldest turns without a word (Ollama does), and then
        counts fewer tokens than in the turn before.
        """
        conversation = self._all.get((pipeline, session))
        if conversation is None or job <= conversation.ended_job:
            return reply  # of a call that its job has not waited for
        before = conversation.before.get((node, item))
        last, tokens = before[-1].tokens if before else None, reply.prompt_tokens
        if last is not None and tokens is not None and tokens < last:
            reason = (
                f"the conversation no longer fits: the server read {tokens} tokens, after {last} in the turn before"
            )
            return reply._replace(outcome="error", error=reason)
        conversation.turn[node, item] = _Said(asked, answered, tokens)
        return reply

    def turn_ended(self, pipeline: str, session: int, job: int, *, last: bool) -> None:
        """Note that a turn has ended: the next one sees it; after the last nobody does, and it is forgotten."""
        if last:
            self._all.pop((pipeline, session), None)
            return
        conversation = self._all.setdefault((pipeline, session), _Conversation())
        for place, said in conversation.turn.items():
            conversation.before.setdefault(place, []).append(said)
        conversation.turn.clear()
        conversation.ended_job = job
