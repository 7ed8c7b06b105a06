"""What goes over the wire: the prompt, the complete options, and the pace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from conftest import VirtualLoop
from core.graphs import FAN, SINGLE, pipeline, plan_of, queue_of
from fake_ollama import FakeOllama

from harness.core.engine import Engine
from harness.core.graph import Pipeline
from harness.core.records import CallRecord
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.measure.sender import Endpoint, Sender, options_for, throttle
from harness.servers.spec import RunningServer
from harness.workload.reads import Readable, Result
from harness.workload.schema import AgentSpec
from harness.workload.texts import Texts, listed

AGENT = AgentSpec(prompt="p", output_tokens=12, temperature=0.5)
FRONT = RunningServer("s", "llamacpp", "http://s:1", "m", 2, True, "v", True, True, {"context_tokens": 512})
OLLAMA = RunningServer(
    "s", "ollama", "http://s:1", "m", 2, True, "v", False, False, {"context_tokens": 512, "batch_tokens": 256}
)
RUNNING = OLLAMA._replace(managed=False, slots_asked=None, details={})


def test_options_are_complete_and_fit_the_server() -> None:
    common = {"num_predict": 12, "temperature": 0.5, "seed": 9}
    assert options_for(FRONT, AGENT, 9) == {**common, "ignore_eos": True, "cache_prompt": False}
    # load-time options are pinned on a server of ours, or slot counts would change the batch size too
    assert options_for(OLLAMA, AGENT, 9) == {**common, "num_ctx": 512, "num_batch": 256}
    # somebody else's server keeps what it has loaded
    assert options_for(RUNNING, AGENT, 9) == common


def _render(
    pipeline: str, who: int, node: str, item: int, outputs: Mapping[str, tuple[str, ...]]
) -> tuple[str | None, str]:
    return ("system" if node == "merge" else None), f"{node} {item} {sorted(outputs.items())}"


async def _trial(
    loop: VirtualLoop, p: Pipeline, candidate: str, starts_per_s: float | None = None
) -> tuple[list[CallRecord], list[dict[str, Any]]]:
    fake = FakeOllama(loop.time, lambda user: 1.0)
    chat = Chat(FRONT.url, "m", loop.time, transport=fake.transport())
    plan = plan_of(candidate, (queue_of("s", 8),), (p,))
    agents = {(p.name, n.name): AGENT for n in p.graph.nodes}
    endpoints = {"s": Endpoint(FRONT, chat, throttle(starts_per_s))}
    nodes = p.graph.nodes
    before = {n.name: {nodes[i].name: (Result((nodes[i].name,)),) for i in n.predecessors} for n in nodes}
    texts = Texts(_render, {(p.name, name): Readable(names) for name, names in before.items()}, listed=listed)
    sender = Sender(plan, (p,), endpoints, agents, texts, zero_s=loop.time(), seed=7, repeat=0)
    records: list[CallRecord] = []
    engine = Engine((p,), plan, origin="measured")
    await drive(engine, sender, lambda r: records.append(r) if isinstance(r, CallRecord) else None, start_s=loop.time())
    return records, fake.chats


def test_texts_flow_and_every_prompt_begins_like_no_other(run_virtual: Callable[[Any], Any]) -> None:
    async def main(loop: VirtualLoop) -> list[dict[str, Any]]:
        first = await _trial(loop, pipeline("p", *FAN), "a")
        second = await _trial(loop, pipeline("p", *FAN), "b")
        return first[1] + second[1]

    bodies = run_virtual(main)
    merge = bodies[4]["messages"]
    assert [m["role"] for m in merge] == ["system", "user"]
    assert merge[1]["content"] == "merge 0 [('split', ('so', 'so', 'so', 'so'))]"
    prefixes = [body["messages"][0]["content"][:9] for body in bodies]
    assert all(p[0] == "[" and p[1:7].isdigit() and p[7:] == "] " for p in prefixes)
    assert len(set(prefixes)) == len(prefixes) == 10  # also between candidates: the other's prompts are in the cache
    assert len({body["options"]["seed"] for body in bodies}) == 5  # but the draws are common


def test_the_same_trial_sends_the_same_bytes(run_virtual: Callable[[Any], Any]) -> None:
    async def main(loop: VirtualLoop) -> tuple[Any, Any]:
        return await _trial(loop, pipeline("p", *FAN), "a"), await _trial(loop, pipeline("p", *FAN), "a")

    first, second = run_virtual(main)
    assert first[1] == second[1]


def test_pacing_has_a_column_of_its_own(run_virtual: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Four starts a second: the calls leave at 0, 1/4, 1/2, ...; asyncio-throttle polls: never early, a little late."""

    async def main(loop: VirtualLoop) -> list[CallRecord]:
        monkeypatch.setattr("asyncio_throttle.throttler.time.monotonic", loop.time)
        records, _ = await _trial(loop, pipeline("p", *SINGLE, jobs=5), "a", starts_per_s=4.0)
        return records

    records = run_virtual(main)
    for number, record in enumerate(sorted(records, key=lambda r: r.reply.sent_s)):
        assert record.router_wait_s == 0.0
        assert 0 <= record.throttle_wait_s - number / 4 < 0.01 * (number + 1)
        assert record.wall_s == 1.0 or abs(record.wall_s - 1.0) < 1e-9


@pytest.mark.parametrize(
    ("server", "user", "read", "outcome"),
    [
        (OLLAMA, "word " * 600, 258, "error"),  # 750 tokens or so: half of 512 is left, and two
        (OLLAMA, "word " * 600, 512, "error"),  # an old version
        (OLLAMA, "word " * 200, 258, "ok"),  # it has so many
        (OLLAMA, "word " * 600, 600, "error"),
        (OLLAMA, "word " * 600, 300, "ok"),  # no length that a cut leaves
        (FRONT, "word " * 600, 258, "ok"),  # refuses instead
        (RUNNING, "word " * 600, 258, "ok"),  # its context is not known
    ],
)
def test_a_prompt_that_was_cut_without_a_word_is_an_error(
    server: RunningServer, user: str, read: int, outcome: str, run_virtual: Callable[[Any], Any]
) -> None:
    async def main(loop: VirtualLoop) -> CallRecord:
        fake = FakeOllama(loop.time, lambda text: 1.0, fields=lambda n: {"prompt_eval_count": read})
        chat, p = Chat(server.url, "m", loop.time, transport=fake.transport()), pipeline("p", *SINGLE)
        (node,) = p.graph.nodes
        texts: Texts[str, tuple[str | None, str]] = Texts(
            lambda *_: (None, user), {(p.name, node.name): Readable({})}, listed=listed
        )
        plan, endpoints = plan_of("c", (queue_of("s", 1),), (p,)), {"s": Endpoint(server, chat, None)}
        sender = Sender(plan, (p,), endpoints, {(p.name, node.name): AGENT}, texts, zero_s=0.0, seed=7, repeat=0)
        calls: list[Any] = []
        await drive(Engine((p,), plan, origin="measured"), sender, calls.append, start_s=0.0, settle=loop.idle)
        await chat.close()
        return next(record for record in calls if isinstance(record, CallRecord))

    reply = run_virtual(main).reply
    assert reply.outcome == outcome
    assert (reply.error or "").startswith("truncated: " if outcome == "error" else "")
    assert reply.prompt_tokens == read
