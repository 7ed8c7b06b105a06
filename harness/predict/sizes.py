"""How long the calls of one trial are: the prompts that a run of it would send, in tokens, without a word of them.

Answers flow from node to node as in a run (`harness.workload.texts`), and so do their lengths here, through the same
object. A node whose prompts are all equally long is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from harness.core.arrivals import turns_of
from harness.core.events import Call
from harness.core.flow import is_plain
from harness.core.graph import Node, Pipeline
from harness.core.outputs import new_tokens, output_tokens, thinking_tokens
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.core.talks import Talk, begins_as, talk_of
from harness.predict.counting import AnswerLength, Counting, Message
from harness.predict.lengths import Lengths
from harness.workload.growth import result_text
from harness.workload.inputs import Inputs, job_key
from harness.workload.load import Loaded
from harness.workload.reads import Reads
from harness.workload.texts import Texts

__all__ = ["Sizes", "Steady"]

Key = tuple[str, str]  # pipeline, node
Keep = Callable[[CallRecord | JobRecord | DelayRecord], None]
Where = tuple[int, int, int, int]  # queue, pipeline, node, item
At = tuple[int, int]  # a job, and in a node that grows how often it had run before in it


class Steady(NamedTuple):
    """What is the same in all trials of a candidate; filled as it is asked for."""

    calls: dict[Where, tuple[int, int] | tuple[int, int, int]]  # prompt, output, and how many of these are thinking
    prompts: dict[Where, int]  # of calls whose answers vary


class _Grown:
    """What the prompts of one node have grown by in a conversation, about one item."""

    __slots__ = ("latest", "opened", "turns")

    def __init__(self) -> None:
        # By turn or pass: what begins a conversation that begins with it, and what it adds to those after it.
        self.turns: dict[At, tuple[float, float]] = {}
        # Of nodes that grow, by job: what its first pass asked, and the pass that was asked last.
        self.opened: dict[int, Message] = {}
        self.latest: dict[int, int] = {}

    def before(self, at: At, once: float, *, system: bool) -> float:
        """Return the tokens before what is asked; where a node `answers` a turn may be answered after it.

        What is there once is the system message, of this turn, or belongs to the first thing that was asked.
        """
        turns = [turn for turn in self.turns if turn < at]
        if turns and not system:
            once = self.turns[min(turns)][0]
        return once + sum(self.turns[turn][1] for turn in turns)

    def grown(self, at: At, message: Message, result: Callable[[], float]) -> tuple[Message, bool]:
        """Return what a node that grows is asked, as `Conversations.grown` does, and whether it goes on in this job."""
        job, iteration = at
        self.latest[job] = iteration
        opened = self.opened.setdefault(job, message)
        goes_on = any(turn[0] == job and turn < at for turn in self.turns)
        system = next(iter(self.opened.values())).system
        return Message(system, result() if goes_on else opened.user), goes_on


class _Asked(NamedTuple):
    """A call of a conversation that is under way."""

    pipeline: int
    at: At
    state: _Grown
    counting: Counting
    once: float
    asked: float

    def answered(self, record: CallRecord, is_json: bool) -> None:
        """The turns after it see the answer, as long as it became; of a call that failed they see nothing."""
        job, iteration = self.at
        if record.outcome == "ok" and self.state.latest.get(job, iteration) == iteration:
            said = AnswerLength(_answer(record), is_json)
            self.state.turns[self.at] = (self.once, self.counting.turn(self.asked, said))


class Sizes:
    """The lengths of one trial: `(prompt tokens, output tokens)` of a call when it is sent, and its thinking tokens.

    Tell it every record (`note`): what a call answers is read by those after it.

    Args:
        lengths: by queue of the plan, in its server's counting.
        repeat: key of the draws.
        steady: lengths of calls that are the same in all trials of the candidate; filled as they are asked for.
        answers: factor on the length of every answer.
        found_again: only what is new counts where a server may keep what was said before, as in a perfect cache.
    """

    def __init__(
        self,
        lengths: Sequence[Lengths],
        repeat: int,
        steady: Steady,
        answers: float = 1.0,
        found_again: bool = False,
    ) -> None:
        self._lengths = tuple(lengths)
        first = self._lengths[0].loaded
        self._loaded, self._repeat, self._steady, self._answers = first, repeat, steady, answers
        self._found_again = found_again
        self._pipelines, self._seed = first.pipelines, first.workload.seed
        self._inputs: Inputs = first.inputs_for(repeat)
        self._flows = tuple(flows(first, pipeline) for pipeline in first.pipelines)
        listed = first.lists()
        self._reads = {key: bool(use.names) or key in listed for key, use in first.uses.items()}  # answers of others
        self._shares = {key: agent.shares_prefix for key, agent in first.agents.items()}
        self._images = {key: agent.image_tokens or 0 for key, agent in first.agents.items()}
        self._json = {key: agent.format is not None for key, agent in first.agents.items()}
        self._drawn_by = {pipeline.name: pipeline.drawn_by for pipeline in first.pipelines}
        self._index = {pipeline.name: number for number, pipeline in enumerate(first.pipelines)}
        self._asking = self._lengths[0]
        self._texts: Texts[AnswerLength, Message] = Texts(
            self._render, first.uses, first.loops, listed, listed=lambda answers: tuple(answers)
        )
        self._grown: dict[tuple[int, int], dict[Talk, _Grown]] = {}  # by pipeline and who talks
        self._ended: dict[tuple[int, int], int] = {}  # turns, by pipeline and conversation
        self._asked: dict[int, _Asked] = {}  # by call
        # Whether it has to be told anything: of most workloads all lengths are known beforehand.
        grows = any(node.grows is not None for pipeline in first.pipelines for node in pipeline.graph.nodes)
        talks = any(pipeline.session is not None for pipeline in first.pipelines)
        self._learns = any(self._flows) or talks or grows

    def __call__(self, call: Call) -> tuple[int, int] | tuple[int, int, int]:
        """Return the tokens of a call's prompt, of what it generates, and of the thinking in this where it thinks.

        Of an embedding: those of its texts, and one.
        """
        where = (call[6], call[1], call[3], call[4])
        pipeline = self._pipelines[call[1]]
        node = pipeline.graph.nodes[call[3]]
        known = self._steady.calls.get(where)
        prompt = self._steady.prompts.get(where) if known is None else None
        if known is not None or prompt is not None:
            if self._flows[call[1]]:
                self._texts.starts(pipeline.name, call.job, node.name, call.iteration, call.passes)
            if known is not None:
                return known
            assert prompt is not None
            return _lengths(prompt, *self._said(call, pipeline, node))
        self._asking = self._lengths[call.queue]
        if node.batch:
            self._asking = self._asking.embedding or self._asking
        counting = self._asking.counting
        message = self._message(call, pipeline, node)
        if node.batch:
            known = round(message.user), 1
            if self._is_steady(call):
                self._steady.calls[where] = known
            return known
        output, thinking = self._said(call, pipeline, node)
        talk, images = talk_of(pipeline, call), self._images[pipeline.name, node.name]
        shares = self._shares[pipeline.name, node.name]
        if talk is None:
            once = self._once(counting, message, shares)
            asked = counting.asked(message) + images
            found = _lengths(counting.total(once + asked), output, thinking)
            if self._is_steady(call):
                varies = node.output_tokens is not None or (node.thinking is not None and node.thinking.kind != "fixed")
                if varies:
                    self._steady.prompts[where] = found[0]
                else:
                    self._steady.calls[where] = found
            return found
        state = self._grown.setdefault((talk.pipeline, talk.who), {}).setdefault(talk, _Grown())
        at, goes_on = (call.job, 0), False
        if node.grows is not None:
            at = call.job, call.iteration
            message, goes_on = state.grown(at, message, partial(self._result, call, pipeline, counting))
        once, asked = self._once(counting, message, shares), counting.asked(message)
        asked += 0 if goes_on else images  # they are shown with the agent's prompt, and stay in its message
        self._asked[call.id] = _Asked(call.pipeline, at, state, counting, once, asked)
        if self._found_again and begins_as(pipeline, call) is not None:
            return _lengths(counting.total(asked if goes_on else once + asked), output, thinking)
        before = state.before(at, once, system=message.system is not None and not shares)
        return _lengths(counting.total(before + asked), output, thinking)

    def _said(self, call: Call, pipeline: Pipeline, node: Node) -> tuple[int, int]:
        """Return the tokens of a call's answer, and of the thinking before it."""
        drawn = output_tokens(pipeline, call, self._seed, self._repeat)
        thinking = thinking_tokens(pipeline, call, self._seed, self._repeat)
        return self._longer(drawn or node.expected_output_tokens or 1), self._longer(thinking or 0)

    def _once(self, counting: Counting, message: Message, shares: bool) -> float:
        """Return the tokens that a conversation has once; where its system message is shared, another number too.

        With `found_again` what is shared needs no reading.
        """
        once = counting.once(message)
        if not shares:
            return once
        once += counting.unique(message)
        return max(0.0, once - counting.shared(message)) if self._found_again else once

    def _result(self, call: Call, pipeline: Pipeline, counting: Counting) -> float:
        """Return the length of what comes in with a pass."""
        tokens = new_tokens(pipeline, call, self._seed, self._repeat)
        return counting.document(tokens, partial(result_text, pipeline, call, self._seed, self._repeat, tokens))

    def listening(self, keep: Keep) -> Keep:
        """Return what keeps records and tells these lengths of each; `keep` itself where they need not be told."""
        if not self._learns:
            return keep

        def noting(record: CallRecord | JobRecord | DelayRecord) -> None:
            self.note(record)  # first: the calls after it are sent next
            keep(record)

        return noting

    def note(self, record: CallRecord | JobRecord | DelayRecord) -> None:
        """Learn from a record: an answer is there, or a job has ended."""
        if isinstance(record, CallRecord):
            if (asked := self._asked.pop(record.call, None)) is not None:
                asked.answered(record, self._json[record.pipeline, record.node])
            if record.outcome == "ok" and not record.embeds and self._flows[self._index[record.pipeline]]:
                said = AnswerLength(_answer(record), self._json[record.pipeline, record.node])
                self._texts.keep(record.pipeline, record.job, record.node, record.item, said, record.iteration)
        elif isinstance(record, JobRecord):
            self._texts.forget(record.pipeline, record.job)
            ended = self._index[record.pipeline], record.job  # what it has not waited for is seen by no turn
            for call in [call for call, asked in self._asked.items() if (asked.pipeline, asked.at[0]) == ended]:
                del self._asked[call]
            if record.session is None:
                self._grown.pop((ended[0], -1 - record.job), None)
            elif self._all_ended(record, record.session):
                self._grown.pop((ended[0], record.session), None)

    def _all_ended(self, record: JobRecord, session: int) -> bool:
        """Note that a turn has ended; the last one may end before another, see `answers`."""
        number = self._index[record.pipeline]
        ended = self._ended[number, session] = self._ended.get((number, session), 0) + 1
        return ended >= turns_of(self._pipelines[number], session, self._seed, self._repeat)

    def _longer(self, tokens: int) -> int:
        return tokens if self._answers == 1 or not tokens else max(1, round(tokens * self._answers))

    def _is_steady(self, call: Call) -> bool:
        """Tell whether all calls of this node, about this item, are equally long, in every repeat."""
        key = (self._pipelines[call.pipeline].name, self._pipelines[call.pipeline].graph.nodes[call.node].name)
        asking = self._asking
        made_up = asking.counting.exact and asking.reads_made_up[key]
        return not ((self._flows[call.pipeline] and self._reads[key]) or asking.reads_drawn[key] or made_up)

    def _message(self, call: Call, pipeline: Pipeline, node: Node) -> Message:
        if self._flows[call.pipeline]:
            which = (pipeline.name, call.job, node.name, call.item, call.iteration)
            return self._texts.prompt(*which, call.session, call.passes)
        uses = self._loaded.uses[pipeline.name, node.name].names
        named = {name: tuple(self._whole(pipeline, reads)) for name, reads in uses.items()}
        return self._render(pipeline.name, job_key(call.job, call.session), node.name, call.item, named)

    def _whole(self, pipeline: Pipeline, reads: Reads) -> Iterator[AnswerLength]:
        """Yield the answers that a name stands for where nothing varies: all of them, each as long as expected."""
        nodes = {node.name: node for node in pipeline.graph.nodes}
        for name in (name for result in reads for name in result.main or result.otherwise):
            if nodes[name].kind == "agent":
                said = AnswerLength(
                    self._longer(nodes[name].expected_output_tokens or 1), self._json[pipeline.name, name]
                )
                yield from (said for _ in range(nodes[name].width))

    def _render(
        self, pipeline: str, who: int, node: str, item: int, named: Mapping[str, tuple[AnswerLength, ...]]
    ) -> Message:
        asking, key = self._asking, (pipeline, node)
        counting, prompt = asking.counting, asking.prompts[key]

        def length(name: str) -> float:
            if name == "item":
                if "item" in named:
                    return counting.answer(counting.listed(named["item"][0], asking.listed[key]))
                over = asking.over[key]
                return 0.0 if over is None else self._items(over, pipeline, who)[item]
            if name in named:
                return counting.joined([counting.answer(said) for said in named[name]])
            return counting.documents(self._items(name, pipeline, who))

        if (batch := asking.batch[key]) is not None:
            (name,) = prompt.user_names
            if name == "item":
                texts: Sequence[float] = (length(name),)
            elif name in named:
                texts = [counting.answer(said) for said in named[name]]
            else:
                texts = self._items(name, pipeline, who)
            of_request = texts if name == "item" else texts[item * batch : (item + 1) * batch]
            return Message(None, float(sum(counting.total(_alone(counting, text)) for text in of_request)))
        return Message(
            None if prompt.system is None else prompt.system + sum(map(length, prompt.system_names)),
            prompt.user + sum(map(length, prompt.user_names)),
        )

    def _items(self, name: str, pipeline: str, who: int) -> Sequence[float]:
        """Return the lengths of the items of an input."""
        drawn_by = self._drawn_by[pipeline]
        if not self._inputs.varies(name):
            return self._asking.items(name, self._inputs, self._repeat)
        counting, inputs = self._asking.counting, self._inputs

        def text(number: int) -> str:
            return inputs.items(name, drawn_by, who)[number]

        sizes = inputs.sizes(name, drawn_by, who)
        return [counting.document(size, partial(text, number)) for number, size in enumerate(sizes)]


def _alone(counting: Counting, text: float) -> float:
    message = Message(None, text)
    return counting.once(message) + counting.asked(message)


def _lengths(prompt: int, output: int, thinking: int) -> tuple[int, int] | tuple[int, int, int]:
    return (prompt, output + thinking, thinking) if thinking else (prompt, output)


def _answer(record: CallRecord) -> int:
    """Return the tokens that others read: what was thought before them is left out."""
    return (record.reply.output_tokens or 0) - (record.reply.thinking_tokens or 0)


def flows(loaded: Loaded, pipeline: Pipeline) -> bool:
    """Tell whether answers that others read differ in length, or need not be there, from job to job."""
    read = any(use.names for (name, _), use in loaded.uses.items() if name == pipeline.name)
    drawn = any(node.output_tokens is not None for node in pipeline.graph.nodes)
    return read and (drawn or not is_plain(pipeline.graph))
