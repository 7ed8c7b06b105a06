"""Send the bursts of a calibration to real servers, through the same engine and driver as everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from harness.core.concurrency import UNBOUNDED
from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord, ChatRequest, DelayRecord, JobRecord, Origin, Reply
from harness.drivers.live import drive
from harness.drivers.repetition import REPEATED
from harness.errors import ServerFailure
from harness.measure.burst_design import Burst, pipelines_of
from harness.measure.sender import Endpoint, options_for
from harness.measure.told import forget, told
from harness.profiles.replay import Observed
from harness.servers.engine_log import Served
from harness.wording.doubtful import unfit
from harness.workload.schema import AgentSpec

__all__ = ["AGAIN", "ATTEMPTS", "DRAWN", "Carry", "LiveBursts", "engine_of", "observe"]

# Carries out one burst and returns the records of its calls. The key makes its prompts different from all others.
Carry = Callable[[Burst, int], Awaitable[list[CallRecord]]]

TIMEOUT_S = 600.0
ATTEMPTS = 3  # with a model that repeats itself
AGAIN = 1_000_000  # keys of another attempt: no prompt is found in a cache
DRAWN = 1.0  # temperature
TEXT = (
    "the old river runs slow under a stone bridge and in the cold light of the day we walk along the wide path to the "
    "small town where people sell bread and salt and tell long stories of ships and trade"
)
ASK = "Write a long, detailed essay about this. Do not stop early."
SAMPLE_WORDS = 150  # from this many the tokens of a word are found


def engine_of(burst: Burst, servers: Sequence[str], origin: Origin = "measured") -> Engine:
    """Return a fresh engine for one burst: everything is sent when it is due, nothing is held back."""
    queues = tuple(ServerQueue(name, 1, concurrency=UNBOUNDED) for name in servers)
    place = tuple((group.server,) for group in burst.groups)
    return Engine(pipelines_of(burst), Plan("calibration", queues, place), origin=origin, timeout_s=TIMEOUT_S)


def observe(records: Sequence[CallRecord], burst: Burst, repetition: int) -> list[Observed]:
    """Turn the records of a burst into what a fit reads.

    Raises:
        ServerFailure: a call failed, or the server does not tell what it did, or says what cannot be.
    """
    observed = []
    for record in records:
        reply = record.reply
        if record.outcome != "ok":
            raise ServerFailure(f"server {record.server!r}: a call of the calibration failed: {reply.error}")
        if reply.sent_s is None or record.wall_s is None or not _usable(reply):
            raise ServerFailure(unfit(record.server, reply.error))
        assert reply.prompt_tokens is not None and reply.output_tokens is not None
        group = burst.groups[int(record.pipeline)]
        observed.append(
            Observed(
                burst.name,
                repetition,
                group.server,
                reply.sent_s,
                reply.prompt_tokens,
                reply.output_tokens,
                reply.prefill_s,
                reply.decode_s,
                record.wall_s,
                reply.load_s or 0.0,
                int(record.pipeline),
                reply.total_s,
                seat=-1 if reply.slot is None else reply.slot,
            )
        )
    return observed


def _usable(reply: Reply) -> bool:
    """Whether the server told its counts, and nothing that cannot be; single times may be missing."""
    return bool(reply.prompt_tokens and reply.output_tokens) and not reply.error


def _with(record: CallRecord, served: Served | None) -> CallRecord:
    if served is None:
        return record
    return record._replace(reply=record.reply._replace(slot=served.slot, cached_tokens=served.cached_tokens))


class LiveBursts:
    """Carries bursts out on real servers. `prepare` comes first."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self._lengths: list[tuple[float, float]] = [(0.0, 1.0) for _ in endpoints]
        self._temperature = 0.0

    async def prepare(self) -> None:
        """Warm the servers up and find how many tokens their prompts have by the number of words."""
        for number, endpoint in enumerate(self._endpoints):
            tokens = []
            for key, words in enumerate((0, SAMPLE_WORDS)):
                request = self._request(endpoint, words, 2, -1 - key, 0)
                reply, _ = await endpoint.chat.ask(request)
                if reply.outcome != "ok" or not reply.prompt_tokens:
                    raise ServerFailure(
                        f"server {endpoint.server.name!r} ({endpoint.server.url}): "
                        f"{reply.error or 'it does not tell its token counts'}"
                    )
                tokens.append(reply.prompt_tokens)
            self._lengths[number] = (tokens[0], max(0.1, (tokens[1] - tokens[0]) / SAMPLE_WORDS))

    async def __call__(self, burst: Burst, key: int) -> list[CallRecord]:
        """Carry out one burst; failed calls are among the records.

        A burst with an answer that repeated itself is sent again with other prompts, and from then on answers are
        drawn: those hardly ever do. One of which the server tells what cannot be is sent again, too.
        """
        for attempt in range(ATTEMPTS):
            records = await self._once(burst, key if not attempt else -AGAIN * attempt - abs(key))
            if any(record.reply.done_reason == REPEATED for record in records):
                self._temperature = DRAWN
            elif not any(record.outcome == "ok" and record.reply.error for record in records):
                break
        return records

    async def _once(self, burst: Burst, key: int) -> list[CallRecord]:
        loop = asyncio.get_running_loop()
        zero_s = loop.time()

        async def send(call: Call) -> Reply:
            group = burst.groups[call.pipeline]
            base, per_word = self._lengths[group.server]
            words = max(0, round((group.prompt_tokens - base) / per_word))
            endpoint = self._endpoints[group.server]
            request = self._request(endpoint, words, group.output_tokens, key, 1000 * call.pipeline + call.item)
            reply, _ = await endpoint.chat.ask(request, zero_s)
            return reply

        records: list[CallRecord | JobRecord | DelayRecord] = []
        engine = engine_of(burst, [endpoint.server.name for endpoint in self._endpoints])
        logs = {one.server.name: one.log for one in self._endpoints if one.log is not None}
        forget(self._endpoints)
        await drive(engine, send, records.append, start_s=zero_s)
        calls = [record for record in records if isinstance(record, CallRecord)]
        served = {record.call: one for record, one in await told(calls, logs)}
        return [_with(record, served.get(record.call)) for record in calls]

    def _request(self, endpoint: Endpoint, words: int, output_tokens: int, key: int, item: int) -> ChatRequest:
        # Six digits first: nothing of the prompt is found in a server's cache, and all have the same number of tokens.
        unique = integer(1_000_000, key, item, "calibration")
        known = TEXT.split()
        text = " ".join(known[i % len(known)] for i in range(words))
        agent = AgentSpec(prompt="-", output_tokens=output_tokens, temperature=self._temperature)
        options = options_for(endpoint.server, agent, seed=item)
        return ChatRequest(None, f"[{unique:06d}] {text} {ASK}", options, stream=False)
