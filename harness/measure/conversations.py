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
    job: int  # the turn; of a loop, its last pass is kept


class _Conversation:
    def __init__(self) -> None:
        self.said: dict[Place, list[_Said]] = {}  # one for each turn, in their order
        self.ended: set[int] = set()  # jobs; a turn may begin before the one before it has ended: see `answers`


class Conversations:
    """The conversations of one trial, by pipeline and number. What makes a prompt unique is not among the texts."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, int], _Conversation] = {}

    def history(self, pipeline: str, session: int, node: str, item: int, job: int) -> tuple[tuple[str, str], ...]:
        """Return what this node was asked in the turns before `job`, about this item, and what it answered."""
        conversation = self._all.setdefault((pipeline, session), _Conversation())
        return tuple((said.asked, said.answered) for said in conversation.said.get((node, item), ()) if said.job < job)

    def keep(
        self, pipeline: str, session: int, node: str, item: int, job: int, asked: str, answered: str, reply: Reply
    ) -> Reply:
        """Keep an exchange for the turns to come; return its reply, as an error where the server cut the conversation.

        A server that has no room for all of it may drop the oldest turns without a word (Ollama does), and then
        counts fewer tokens than in the turn before.
        """
        conversation = self._all.get((pipeline, session))
        if conversation is None or job in conversation.ended:
            return reply  # of a call that its job has not waited for
        said = conversation.said.setdefault((node, item), [])
        before = [one for one in said if one.job < job]
        last, tokens = before[-1].tokens if before else None, reply.prompt_tokens
        if last is not None and tokens is not None and tokens < last:
            reason = (
                f"truncated: the conversation no longer fits: the server read {tokens} tokens, after {last} in the "
                "turn before"
            )
            return reply._replace(outcome="error", error=reason)
        after = [one for one in said if one.job > job]
        said[:] = [*before, _Said(asked, answered, tokens, job), *after]
        return reply

    def turn_ended(self, pipeline: str, session: int, job: int, *, turns: int) -> None:
        """Note that a turn has ended: what still runs of it is not kept. After all `turns` everything is forgotten.

        The last turn may end before another one has, whose title, say, is still to be made: see `answers`.
        """
        conversation = self._all.setdefault((pipeline, session), _Conversation())
        conversation.ended.add(job)
        if len(conversation.ended) >= turns:
            del self._all[pipeline, session]
