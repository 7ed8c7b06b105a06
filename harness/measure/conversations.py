"""What was said in the conversations under way: what came before, as each agent node sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.core.records import Reply

__all__ = ["Conversations", "TalkPlace"]

History = tuple[str, int, tuple[int, ...]]  # a node, an item, and a run of its loop
At = tuple[int, int]  # the job, and in a node that grows how often it had run before in it


class TalkPlace(NamedTuple):
    """A call of a conversation: at which node, about which item, and when."""

    pipeline: str
    who: int  # the conversation of a session; else -1 - job
    node: str
    item: int
    job: int
    run: tuple[int, ...] = ()  # see `harness.core.talks.Talk`
    iteration: int = 0

    @property
    def history(self) -> History:
        """Whose history it adds to."""
        return self.node, self.item, self.run

    @property
    def at(self) -> At:
        """When in it."""
        return self.job, self.iteration


class _Said(NamedTuple):
    """One exchange."""

    asked: str
    answered: str
    tokens: int | None  # of the whole prompt, as the server counted them
    at: At  # the turn; of a loop, its last pass is kept, or every pass of a node that grows


class _Conversation:
    def __init__(self) -> None:
        self.said: dict[History, list[_Said]] = {}  # one for each turn or pass, in their order
        self.ended: set[int] = set()  # jobs; a turn may begin before the one before it has ended: see `answers`
        # Of nodes that grow, by history and job: what its first pass asked, and the pass that was asked last.
        self.opened: dict[tuple[History, int], tuple[str | None, str]] = {}
        self.latest: dict[tuple[History, int], int] = {}
        # The last exchange that a call under way was sent with; a turn that `answers` let overtake may end meanwhile.
        self.sent: dict[TalkPlace, _Said | None] = {}


class Conversations:
    """The conversations of one trial, by pipeline and number. What makes a prompt unique is not among the texts."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, int], _Conversation] = {}

    def _of(self, place: TalkPlace) -> _Conversation:
        return self._all.setdefault((place.pipeline, place.who), _Conversation())

    def history(self, place: TalkPlace) -> tuple[tuple[str, str], ...]:
        """Return what this node was asked before this call, about this item, and what it answered."""
        conversation = self._of(place)
        before = [said for said in conversation.said.get(place.history, ()) if said.at < place.at]
        conversation.sent[place] = before[-1] if before else None
        return tuple((said.asked, said.answered) for said in before)

    def opens(self, place: TalkPlace) -> tuple[bool, ...]:
        """Tell of each exchange of `history`, and last of this call, whether it is the first of its job.

        That one asks with the agent's prompt, and shows its images. Further passes of a node that grows ask with a
        result.
        """
        jobs = [said.at[0] for said in self._of(place).said.get(place.history, ()) if said.at < place.at]
        jobs.append(place.job)
        return tuple(job not in jobs[:number] for number, job in enumerate(jobs))

    def grown(
        self, place: TalkPlace, prompt: tuple[str | None, str], result: Callable[[], str]
    ) -> tuple[str | None, str]:
        """Return what a node that grows is asked: its prompt, until it has answered it in this job; then a result.

        What its first pass was asked holds for all of them. The system message is that of its first call of all.

        Args:
            place: of the call.
            prompt: system and user text, as this pass would have them.
            result: makes up what comes in with this pass.
        """
        conversation, key = self._of(place), (place.history, place.job)
        conversation.latest[key] = place.iteration
        opened = conversation.opened.setdefault(key, prompt)
        system = next(first for (history, _), (first, _) in conversation.opened.items() if history == place.history)
        said = conversation.said.get(place.history, ())
        goes_on = any(one.at[0] == place.job and one.at < place.at for one in said)
        return system, result() if goes_on else opened[1]

    def keep(self, place: TalkPlace, asked: str, answered: str, reply: Reply) -> Reply:
        """Keep an exchange for what is to come; return its reply, as an error where the server cut the conversation.

        A server that has no room for all of it may drop the oldest messages without a word (Ollama does), and then
        counts fewer tokens than before.
        """
        conversation = self._all.get((place.pipeline, place.who))
        if conversation is None or place.job in conversation.ended:
            return reply  # of a call that its job has not waited for
        if conversation.latest.get((place.history, place.job), place.iteration) != place.iteration:
            return reply  # of a pass that was not waited for
        said = conversation.said.setdefault(place.history, [])
        before = [one for one in said if one.at < place.at]
        last, tokens = conversation.sent.pop(place, before[-1] if before else None), reply.prompt_tokens
        if last is not None and last.tokens is not None and tokens is not None and tokens < last.tokens:
            turn = "pass" if last.at[0] == place.job else "turn"
            reason = (
                f"truncated: the conversation no longer fits: the server read {tokens} tokens, after {last.tokens} in "
                f"the {turn} before"
            )
            return reply._replace(outcome="error", error=reason)
        after = [one for one in said if one.at > place.at]
        said[:] = [*before, _Said(asked, answered, tokens, place.at), *after]
        return reply

    def turn_ended(self, pipeline: str, session: int, job: int, *, turns: int) -> None:
        """Note that a turn has ended: what still runs of it is not kept. After all `turns` everything is forgotten.

        The last turn may end before another one has, whose title, say, is still to be made: see `answers`.
        """
        conversation = self._all.setdefault((pipeline, session), _Conversation())
        conversation.ended.add(job)
        if len(conversation.ended) >= turns:
            del self._all[pipeline, session]

    def job_ended(self, pipeline: str, job: int) -> None:
        """Forget what was said in a job that was no turn."""
        self._all.pop((pipeline, -1 - job), None)
