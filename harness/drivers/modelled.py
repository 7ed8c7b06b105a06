"""Server models as a backend of the virtual driver: pace, overheads, and replies as a client would have seen them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.core.context import REFUSED, Context
from harness.core.draws import shuffled
from harness.core.events import Call, Cancelled, Done, Event
from harness.core.machine import Machine, SharedServer
from harness.core.model_swaps import BUSY, ModelRequest, ModelSwaps
from harness.core.records import Reply
from harness.core.server_model import ServerModel
from harness.core.server_request import NEVER_S, Begins, Request
from harness.drivers.virtual import Backend

__all__ = ["Beginning", "ModelledServer", "ModelledServers", "PromptStart", "Thread", "Tokens"]

TURNED_AWAY: Final = f"503: {' '.join(BUSY.split())}"  # as a measured run has it, on one line
AT_ONCE_S: Final = -NEVER_S  # a server that was touched: when it must be looked at next is not known yet

_new: Final = tuple.__new__  # half the cost of a NamedTuple's own constructor

# How long a call is: (prompt tokens, output tokens), and where it thinks how many of the output tokens are thinking.
# As observed (replay) or drawn (forecast).
Tokens = Callable[[Call], tuple[int, int] | tuple[int, int, int]]
TextsOf = Callable[[Call], int]  # how many texts a call embeds; 0: it asks for an answer
Thread = Callable[[Call], Hashable | None]


class PromptStart(NamedTuple):
    """What a prompt begins with, as others may."""

    begins: Begins = ()
    kept: bool = False  # a server may keep that of one that goes on with no other
    usual: int = 0  # tokens that it has in common with whatever was sent before the trial


Beginning = Callable[[Call], PromptStart]


class ModelledServer(NamedTuple):
    """One queue's server with what lies between it and the client."""

    model: ServerModel | SharedServer | ModelSwaps
    before_s: float = 0.0  # sent until it stands in the server's queue
    after_s: float = 0.0  # a token is there until the client has it
    starts_per_s: float | None = None  # one start per 1/rate seconds; None = unpaced
    gap_s: float = 0.0  # of calls sent at one instant, each comes to its server so much after the last
    models: tuple[tuple[int, ...], ...] = ()  # of `ModelSwaps`: the runner of each node of each pipeline
    keeps_s: tuple[tuple[float | None, ...], ...] = ()  # the same: how long its calls ask to keep that
    contexts: tuple[Context | None, ...] = ()  # of a slot of each runner, or of all alike; None = without end
    request_s: float = 0.0  # of an embedding: sent until its texts stand in the queue


class _Sent(ModelRequest):
    """A request with what the client knows of it."""

    __slots__ = ("outside", "queue", "whole")

    queue: int
    whole: int  # tokens of a prompt that is cut; 0 where it is not
    outside: bool  # paced, or on its way there or back: its server does not know it, or no more


class _SentTurn(_Sent):
    """What `Turn` is to `Request`."""

    __slots__ = ("begins", "cached_tokens", "thread", "usual")


class _SentTexts(_Sent):
    """A request with texts to embed."""

    __slots__ = ("texts",)

    def __init__(self, call: int, prompt_tokens: int, output_tokens: int, sent_s: float, texts: int) -> None:
        super().__init__(call, prompt_tokens, output_tokens, sent_s)
        self.texts = texts


class _Pace:
    """Lets one call go per 1/rate seconds, first come first served."""

    def __init__(self, starts_per_s: float) -> None:
        self.period_s = 1 / starts_per_s
        self.next_s = 0.0
        self.held: deque[_Sent] = deque()


class ModelledServers(Backend):
    """The servers of one candidate, a queue each.

    Args:
        lanes: the server of every lane of the plan.
        tokens: how long each call is.
        thread: whose prompt a call's goes on with, where the server may keep that; None: of nobody.
        beginning: what a call's prompt begins with that others may begin with too; None: nothing.
        texts_of: how many texts each embeds, for servers with an embedding model; None: none does.
        seed, repeat: keys of the order in which calls come that are sent at one instant.
    """

    def __init__(
        self,
        queues: Sequence[ModelledServer],
        tokens: Tokens,
        thread: Thread | None = None,
        beginning: Beginning | None = None,
        *,
        texts_of: TextsOf | None = None,
        seed: int = 0,
        repeat: int = 0,
    ) -> None:
        self._queues = tuple(queues)
        self._models = tuple(queue.model for queue in queues)
        # What goes on by itself: a server, or the machine that several servers share.
        hosts = [model.machine if isinstance(model, SharedServer) else model for model in self._models]
        self._units: tuple[ServerModel | Machine | ModelSwaps, ...] = tuple(dict.fromkeys(hosts))
        self._unit_of = tuple(self._units.index(host) for host in hosts)
        self._due_s = [NEVER_S] * len(self._units)  # when each must be looked at
        self._direct = tuple(
            not queue.before_s and not queue.request_s and not queue.gap_s and queue.starts_per_s is None
            for queue in queues
        )
        self._after_s = tuple(queue.after_s for queue in queues)
        self._paces = tuple(None if queue.starts_per_s is None else _Pace(queue.starts_per_s) for queue in queues)
        self._contexts = tuple(queue.contexts or (None,) for queue in queues)
        self._tokens = tokens
        self._which = {n: (queue.models, queue.keeps_s) for n, queue in enumerate(queues) if queue.models}
        self._thread_of, self._beginning = thread, beginning
        self._texts_of = texts_of
        self._open: dict[int, _Sent] = {}
        # What happens outside the servers: (time, serial, a request on its way there or back, an event for the engine,
        # or a lane whose pace lets the next call go).
        self._later: list[tuple[float, int, _Sent | Event | int]] = []
        self._serial = 0
        self._apart = any(queue.gap_s for queue in queues)
        self._burst: list[_Sent] = []  # sent at this instant, where calls come apart
        self._seed, self._repeat = seed, repeat

    def start(self, call: Call, now_s: float) -> None:
        """Send this call, or let it wait for its turn where starts are paced."""
        lengths = self._tokens(call)
        prompt_tokens, output_tokens = lengths[0], lengths[1]
        call_id, queue = call[0], call[6]
        thread = None if self._thread_of is None else self._thread_of(call)
        begins, kept, usual = ((), False, 0) if self._beginning is None else self._beginning(call)
        if kept and thread is None:
            thread = call_id  # nobody goes on with it
        texts = 0 if self._texts_of is None else self._texts_of(call)
        if texts and not prompt_tokens:  # whose texts it was to embed was skipped: it is answered at once
            end_s = now_s + self._queues[queue].request_s
            self._at(end_s, Done(call_id, Reply("ok", now_s, end_s=end_s)))
            return
        sent: _Sent
        if texts:
            sent = _SentTexts(call_id, max(prompt_tokens, texts), 1, now_s, texts)
        elif thread is None:
            sent = _Sent(call_id, prompt_tokens, output_tokens, now_s)
        else:
            sent = _SentTurn(call_id, prompt_tokens, output_tokens, now_s)
            sent.thread, sent.begins, sent.cached_tokens, sent.usual = thread, begins, 0, usual
        sent.whole = 0
        if len(lengths) > 2:
            sent.thinking_tokens = lengths[2]
        sent.queue = queue
        sent.load_s = 0.0
        if queue in self._which:
            models, keeps_s = self._which[queue]
            sent.model = models[call.pipeline][call.node]
            sent.keep_s = keeps_s[call.pipeline][call.node]
        context = self._context_of(sent)
        if context is not None and prompt_tokens + output_tokens > context.tokens and not texts:
            sent.output_tokens = context.answered(prompt_tokens, output_tokens)
            sent.prompt_tokens = context.read(prompt_tokens)
            if sent.prompt_tokens < prompt_tokens:
                sent.whole = prompt_tokens
        self._open[call_id] = sent
        if self._direct[queue]:
            sent.outside = False
            self._due_s[self._unit_of[queue]] = AT_ONCE_S
            self._models[queue].submit(sent, now_s)
            return
        sent.outside = True
        pace = self._paces[queue]
        if pace is None:
            self._send(sent, now_s)
        elif not pace.held and now_s >= pace.next_s:
            pace.next_s = now_s + pace.period_s
            self._send(sent, now_s)
        else:
            pace.held.append(sent)
            if len(pace.held) == 1:
                self._at(pace.next_s, queue)

    def cancel(self, call_id: int, now_s: float) -> None:
        """Give a call up, wherever it is. On its way it is gone at once; one that is answered at once has been."""
        if call_id not in self._open:
            return
        sent = self._open[call_id]
        self._due_s[self._unit_of[sent.queue]] = AT_ONCE_S
        if sent.outside:
            sent.cancelled = True
        elif not self._models[sent.queue].cancel(sent, now_s):
            return
        del self._open[call_id]
        pace = self._paces[sent.queue]
        sent_s = None if pace and sent in pace.held else sent.sent_s
        self._at(now_s, Cancelled(call_id, Reply("cancelled", sent_s, sent.shown_s, now_s)))

    def advance(self, until_s: float) -> tuple[float, list[Event]]:
        """Go on to the first answer that a client has, or else to `until_s`; return the time, and all answers at it."""
        due_s, units, later = self._due_s, self._units, self._later
        events: list[Event] = []
        while True:
            if self._burst:
                self._send_burst()
            now_s = later[0][0] if later and later[0][0] < until_s else until_s
            stopped: list[int] = []  # units with a call that ended: what is done about that comes before they go on
            while (at_s := min(due_s)) <= now_s and at_s < NEVER_S:
                unit = due_s.index(at_s)
                due_s[unit] = NEVER_S
                # Alone it may run ahead until something happens elsewhere: that could bring it a call.
                quiet_until_s = min(due_s)
                ended = units[unit].run(quiet_until_s if quiet_until_s < now_s else now_s)
                if ended:
                    stopped.append(unit)
                    now_s = self._ended(ended, events)
                else:
                    due_s[unit] = units[unit].next_s()
            for unit in stopped:
                due_s[unit] = AT_ONCE_S
            while later and later[0][0] <= now_s:
                self._happens(heappop(later)[2], now_s, events)
            if events or now_s == until_s:
                return now_s, events

    def waiting(self) -> int:
        """Return how many calls stand in the servers' queues or wait for their turn to be sent."""
        return sum(model.waiting for model in self._models) + sum(len(pace.held) for pace in self._paces if pace)

    @property
    def left(self) -> list[list[tuple[tuple[int, int], ...]]]:
        """What is in the slots of each model of each server (`ServerModel.left`)."""
        return [model.left if isinstance(model, ModelSwaps) else [_plain(model).left] for model in self._models]

    def _ended(self, requests: list[Request], events: list[Event]) -> float:
        """A server is done with these calls; return when."""
        now_s = NEVER_S
        for sent in requests:
            if TYPE_CHECKING:
                assert isinstance(sent, _Sent) and sent.end_s is not None
            now_s = sent.end_s
            after_s = 0.0 if sent.texts else self._after_s[sent.queue]
            if sent.cancelled:
                del self._open[sent.call]
                events.append(Cancelled(sent.call, Reply("cancelled", sent.sent_s, sent.shown_s, now_s)))
            elif after_s:
                sent.outside = True
                self._at(now_s + after_s, sent)
            else:
                del self._open[sent.call]
                events.append(_new(Done, (sent.call, self._reply(sent, 0.0), None)))
        return now_s

    def _happens(self, thing: _Sent | Event | int, now_s: float, events: list[Event]) -> None:
        if isinstance(thing, _Sent):
            if not thing.cancelled:
                self._arrived(thing, now_s, events)
        elif isinstance(thing, int):
            self._next_of(thing, now_s)
        else:
            events.append(thing)

    def _arrived(self, sent: _Sent, now_s: float, events: list[Event]) -> None:
        """A call has come to its server, or its answer to the client."""
        if sent.end_s is None:
            sent.outside = False
            self._due_s[self._unit_of[sent.queue]] = AT_ONCE_S
            self._models[sent.queue].submit(sent, now_s)
        else:
            del self._open[sent.call]
            events.append(_new(Done, (sent.call, self._reply(sent, self._after_s[sent.queue]), None)))

    def _reply(self, sent: _Sent, after_s: float) -> Reply:
        context = self._context_of(sent)
        if sent.output_tokens == REFUSED:
            assert sent.end_s is not None
            end_s = sent.end_s + after_s
            if sent.load_s < 0 or context is None:  # it waits for no model, and never had one
                return Reply("rejected", sent_s=sent.sent_s, end_s=end_s, error=TURNED_AWAY)
            return Reply("error", sent_s=sent.sent_s, end_s=end_s, error=context.error(sent.prompt_tokens))
        if sent.whole and context is not None:
            return _reply(sent, after_s)._replace(outcome="error", error=context.error(sent.whole))
        return _reply(sent, after_s)

    def _context_of(self, sent: _Sent) -> Context | None:
        contexts = self._contexts[sent.queue]
        return contexts[0] if len(contexts) == 1 else contexts[sent.model]

    def _send(self, sent: _Sent, now_s: float) -> None:
        sent.sent_s = now_s
        if self._apart:
            self._burst.append(sent)
        else:
            self._at(now_s + self._before_s(sent), sent)

    def _before_s(self, sent: _Sent) -> float:
        queue = self._queues[sent.queue]
        return queue.request_s if sent.texts else queue.before_s

    def _send_burst(self) -> None:
        """All calls of this instant are known: they come to their servers one by one, in an order of chance."""
        burst = tuple(self._burst)
        self._burst.clear()
        if len(burst) > 1:
            burst = shuffled(burst, self._seed, self._repeat, burst[0].call, "burst")
        for number, sent in enumerate(burst):
            queue = self._queues[sent.queue]
            assert sent.sent_s is not None
            self._at(sent.sent_s + self._before_s(sent) + number * queue.gap_s, sent)

    def _next_of(self, queue: int, now_s: float) -> None:
        """A paced lane's time has come: send the first that still wants to go."""
        pace = self._paces[queue]
        assert pace is not None
        while pace.held and pace.held[0].cancelled:
            pace.held.popleft()
        if pace.held:
            pace.next_s = now_s + pace.period_s
            self._send(pace.held.popleft(), now_s)
        if pace.held:
            self._at(pace.next_s, queue)

    def _at(self, at_s: float, thing: _Sent | Event | int) -> None:
        self._serial += 1
        heappush(self._later, (at_s, self._serial, thing))


def _plain(model: ServerModel | SharedServer) -> ServerModel:
    return model.model if isinstance(model, SharedServer) else model


def _reply(sent: _Sent, after_s: float) -> Reply:
    """What a client learns, on its clock; the server's durations on the server's."""
    queued_s, prompt_s, first_s, end_s = sent.queued_s, sent.prompt_s, sent.first_token_s, sent.end_s
    if TYPE_CHECKING:
        assert prompt_s is not None and first_s is not None and end_s is not None
    if sent.texts:
        return Reply(
            "ok",
            sent.sent_s,
            end_s=end_s,
            prompt_tokens=sent.prompt_tokens,
            total_s=end_s - queued_s + sent.load_s,
            load_s=sent.load_s,
            prefill_s=end_s - prompt_s,
            queue_s=prompt_s - queued_s,
        )
    reply = _new(
        Reply,
        (
            "ok",
            sent.sent_s,
            first_s + after_s if after_s else first_s,  # where nothing is added, the same object is kept
            end_s + after_s if after_s else end_s,
            None,
            "length",
            sent.prompt_tokens,
            sent.output_tokens,
            end_s - queued_s + sent.load_s,
            sent.load_s,
            first_s - prompt_s,
            end_s - first_s,
            prompt_s - queued_s,
            sent.cached_tokens,
            None,
            None,
            None,
        ),
    )
    if not sent.thinking_tokens:
        return reply
    answer_s = None if sent.answer_s is None else sent.answer_s + after_s
    thinking = min(sent.thinking_tokens, sent.output_tokens)
    return reply._replace(first_token_s=answer_s, first_thought_s=reply.first_token_s, thinking_tokens=thinking)
