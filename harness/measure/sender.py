"""From a call of the engine to a request on the wire: prompt, options, pacing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from asyncio_throttle import Throttler

from harness.core.context import Context
from harness.core.draws import integer
from harness.core.events import Call
from harness.core.graph import Pipeline
from harness.core.outputs import new_tokens, output_tokens, thinking_tokens
from harness.core.plan import Plan
from harness.core.prompt_numbers import own_number, shared_number
from harness.core.records import ChatRequest, EmbedRequest, Origin, Reply
from harness.core.talks import begins_as, talk_of
from harness.drivers.embedder import Embedder
from harness.drivers.live import Answered
from harness.measure.conversations import Conversations, TalkPlace
from harness.servers.engine_log import EngineLog
from harness.servers.spec import Client, RunningServer, Working
from harness.workload.growth import result_text
from harness.workload.prompts import estimate_tokens
from harness.workload.rules import Decisions, what_it_says
from harness.workload.schema import KINDS, AgentSpec
from harness.workload.texts import Texts

__all__ = ["Endpoint", "Sender", "options_for", "origin_of", "throttle"]

_Message = tuple[str | None, str]  # system message, prompt
RETRY_INTERVAL_S = 0.001  # asyncio-throttle polls: a start comes up to this much late


class Endpoint(NamedTuple):
    """A server with the one client that all calls to it share, and its pace; with several models, a client for each."""

    server: RunningServer
    chat: Client
    throttle: Throttler | None
    timeout_s: float = 300.0  # give up one of our own calls to it after this long
    chats: Mapping[str, Client] = {}  # by model, as it is asked for
    embedders: Mapping[str, Embedder] = {}  # of models that embed, by model
    log: EngineLog | None = None  # tells slots and what was found again, where there is one
    working: Working | None = None  # tells how many of its slots work right now, where it does

    def chat_for(self, model: str | None) -> Client:
        """Return the client of a model, as an agent names it."""
        return self.chats.get(model, self.chat) if model else self.chat

    def models(self) -> dict[str, Endpoint]:
        """Return this server as one for each of its models that answer, as if it had no other."""
        names = self.server.names or ({self.server.model: self.server.model} if self.server.answers else {})
        return {
            model: self._replace(server=self.server._replace(model=name), chat=self.chat_for(model), chats={})
            for model, name in names.items()
        }


def throttle(starts_per_s: float | None) -> Throttler | None:
    """Pace request starts evenly: one per 1/rate seconds, not a burst per second."""
    if starts_per_s is None:
        return None
    return Throttler(rate_limit=1, period=1 / starts_per_s, retry_interval=RETRY_INTERVAL_S)


def origin_of(servers: Iterable[RunningServer]) -> Origin:
    """Return what to call what is timed on these servers: with a simulated one among them nothing is measured."""
    return "emulated" if any(server.emulated for server in servers) else "measured"


def options_for(
    server: RunningServer,
    agent: AgentSpec,
    seed: int,
    output_tokens: int | None = None,
    *,
    reuse_prefix: bool = False,
    thinking_tokens: int = 0,
) -> dict[str, Any]:
    """Return the complete options of a request: `options=` replaces all that ChatOllama would send.

    `output_tokens` is this call's length, where the agent's varies. `reuse_prefix`: the server may look for the
    beginning of the prompt in its cache; Ollama always does. `thinking_tokens` come before the answer, and
    `num_predict` covers both.

    Load-time options are the same in every request to a server, or Ollama reloads the model (reference 0.7, 6 #3),
    unless an agent asks for a context of its own. A server that we did not start keeps the ones that it has.
    """
    length = agent.output_tokens if output_tokens is None else output_tokens
    options: dict[str, Any] = {"num_predict": length, "temperature": agent.temperature, "seed": seed}
    if thinking_tokens:
        options["num_predict"] += thinking_tokens
        if server.embedded or server.emulated:
            options["thinking_tokens"] = thinking_tokens
    if server.managed and not server.can_pin_output:
        options |= {"num_ctx": server.details["context_tokens"], "num_batch": server.details["batch_tokens"]}
    if agent.num_ctx is not None:
        options["num_ctx"] = agent.num_ctx
    if server.can_pin_output:
        options |= {"ignore_eos": agent.exact_output, "cache_prompt": reuse_prefix}
    return options


class Sender:
    """Carries out the calls of one trial: the `send` of the live driver.

    Args:
        plan, pipelines: of the engine.
        endpoints: by server name.
        agents: by (pipeline, node).
        texts: renders prompts and keeps what flows between nodes.
        zero_s: the clock's time at which the trial began.
        seed, repeat: keys of the draws.
        decisions: by (pipeline, node): what its answer decides, where the model is in control.
        conversations: what was said before in each.
        images: those that agents are shown, by name, as data URLs.
    """

    def __init__(
        self,
        plan: Plan,
        pipelines: tuple[Pipeline, ...],
        endpoints: Mapping[str, Endpoint],
        agents: Mapping[tuple[str, str], AgentSpec],
        texts: Texts[str, _Message] | Texts[str, _Message | EmbedRequest],
        *,
        zero_s: float,
        seed: int,
        repeat: int,
        decisions: Mapping[tuple[str, str], Decisions] | None = None,
        conversations: Conversations | None = None,
        images: Mapping[str, str] | None = None,
    ) -> None:
        self._plan = plan
        self._pipelines = pipelines
        self._endpoints = tuple(endpoints[queue.server] for queue in plan.queues)
        self._agents = agents
        self._texts = texts
        self._zero_s = zero_s
        self._seed = seed
        self._repeat = repeat
        self._decisions = decisions or {}
        self._conversations = conversations or Conversations()
        self._images = images or {}

    async def __call__(self, call: Call) -> Reply | Answered:
        """Carry out one call."""
        pipeline = self._pipelines[call.pipeline]
        node = pipeline.graph.nodes[call.node].name
        endpoint = self._endpoints[call.queue]
        which = (pipeline.name, call.job, node, call.item, call.iteration)
        prompt = self._texts.prompt(*which, call.session, call.passes)
        if isinstance(prompt, EmbedRequest):  # as it is: nothing is made unique, because embeddings are never cached
            await _turn(endpoint)
            return await endpoint.embedders[pipeline.graph.nodes[call.node].model].embed(prompt, self._zero_s)
        system, user = prompt
        agent = self._agents[pipeline.name, node]
        key = (self._repeat, pipeline.name, call.job, node, call.item, call.iteration, call.attempt)
        place = self._place(pipeline, call)
        if place is not None and pipeline.graph.nodes[call.node].grows is not None:
            tokens = new_tokens(pipeline, call, self._seed, self._repeat)
            result = partial(result_text, pipeline, call, self._seed, self._repeat, tokens)
            system, user = self._conversations.grown(place, (system, user), result)
        history = () if place is None else self._conversations.history(place)
        unique = f"[{own_number(self._plan.name, pipeline, call, self._seed, self._repeat)}] "
        asked, alike = user, begins_as(pipeline, call)
        if system is not None and agent.shares_prefix:
            system = f"[{shared_number(self._plan.name, system, self._seed, self._repeat)}] {system}"
        if system is not None and not agent.shares_prefix:
            system = unique + system
        elif history:
            history = ((unique + history[0][0], history[0][1]), *history[1:])
        else:
            user = unique + user
        length = output_tokens(pipeline, call, self._seed, self._repeat)
        sampling, reuse = integer(1 << 31, self._seed, *key, "sampling"), alike is not None or agent.shares_prefix
        thinking = thinking_tokens(pipeline, call, self._seed, self._repeat) or 0
        options = options_for(endpoint.server, agent, sampling, length, reuse_prefix=reuse, thinking_tokens=thinking)
        # Which questions show the agent's images: those before this one, and this one.
        shows = (True,) if place is None or not agent.images else self._conversations.opens(place)
        images: tuple[str, ...] = ()
        if agent.images and endpoint.server.emulated:
            options["image_tokens"] = (agent.image_tokens or 0) * sum(shows)  # it looks at nothing, and only counts
        else:
            images = tuple(self._images[name] for name in agent.images)
        *before, now = (images if shown else () for shown in shows)
        stream = pipeline.path == "interactive"
        request = ChatRequest(
            system, user, options, stream, agent.format, history, now, agent.think, agent.keep_alive, tuple(before)
        )
        await _turn(endpoint)
        reply, text = await endpoint.chat_for(agent.model).ask(request, self._zero_s)
        if reply.outcome == "ok":
            reply = _whole(reply, request, endpoint.server)
        if place is not None and reply.outcome == "ok":
            reply = self._conversations.keep(place, asked, text, reply)
        if reply.outcome == "ok":
            self._texts.keep(pipeline.name, call.job, node, call.item, text, call.iteration)
            if decides := self._decisions.get((pipeline.name, node)):
                return Answered(reply, what_it_says(node, decides, text))
        return reply

    @staticmethod
    def _place(pipeline: Pipeline, call: Call) -> TalkPlace | None:
        """Return where in a conversation a call stands; None: it stands alone."""
        talk, node = talk_of(pipeline, call), pipeline.graph.nodes[call.node]
        if talk is None:
            return None
        iteration = 0 if node.grows is None else call.iteration
        return TalkPlace(pipeline.name, talk.who, node.name, call.item, call.job, talk.run, iteration)


async def _turn(endpoint: Endpoint) -> None:
    if endpoint.throttle is not None:
        async with endpoint.throttle:
            pass


def _whole(reply: Reply, request: ChatRequest, server: RunningServer) -> Reply:
    """Return the reply, as an error where the server cut the prompt without a word, as far as its counts show it."""
    kind, context = KINDS.get(server.kind), int(server.details.get("context_tokens", 0))
    if kind is not None and kind.loads_as_asked and not server.exact_queue:  # else it is our front's, and is fixed
        context = int(request.options.get("num_ctx", context))
    if kind is None or not context or reply.prompt_tokens is None:
        return reply
    texts = (request.system or "", request.user, *(text for said in request.history for text in said))
    reason = Context(context, kind.too_long).seen_truncated(reply.prompt_tokens, sum(map(estimate_tokens, texts)))
    return reply if reason is None else reply._replace(outcome="error", error=reason)
