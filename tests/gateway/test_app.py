"""The gateway over real sockets, on loopback, before a fake server: what goes through, what waits, what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateway.before import CHAT, PARTS, Fake, Up, before, on, standing
from prometheus_client.parser import text_string_to_metric_families
from servers.conftest import _serving

from harness.app.gateway import plan_of_gateway
from harness.app.options import GatewayOptions
from harness.errors import UserError
from harness.gateway.classes import matches


def test_an_answer_goes_through_byte_for_byte_and_is_counted() -> None:
    async def test(fake: Fake, up: Up) -> None:
        response = await up.client.post("/interactive/api/chat", json=CHAT, headers={"x-mine": "2"})
        assert response.content == b"".join(PARTS)
        assert response.headers["content-type"] == "application/x-ndjson"
        _, path, headers, body = fake.seen[0]
        assert path == "/api/chat" and json.loads(body) == CHAT and headers[b"x-mine"] == b"2"
        assert headers[b"x-slotwise-via"] == b"me"
        text = (await up.client.get("/metrics")).text
        server = up.gate.engine.plan.queues[0].server
        assert f'slotwise_calls_total{{class="interactive",outcome="ok",upstream="{server}"}} 1.0' in text
        assert 'slotwise_tokens_total{class="interactive",direction="in"} 7.0' in text
        assert 'slotwise_tokens_total{class="interactive",direction="out"} 3.0' in text

    on(test)


def test_figures_of_waits_slots_and_calls_have_the_form_that_prometheus_reads() -> None:
    async def test(fake: Fake, up: Up) -> None:
        fake.go.clear()
        first = asyncio.create_task(up.client.post("/api/chat", json=CHAT))
        await standing(up, [(1, 0)])
        second = asyncio.create_task(up.client.post("/api/chat", json=CHAT))
        await standing(up, [(1, 1)])
        read = await up.client.get("/metrics")
        assert read.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        server = up.gate.engine.plan.queues[0].server
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(read.text)
            for sample in family.samples
        }
        assert found == {
            ("slotwise_queue_length",): 1.0,
            ("slotwise_in_flight", server): 1.0,
            ("slotwise_slots", server): 1.0,
        }
        fake.go.set()
        await asyncio.gather(first, second)
        text = (await up.client.get("/metrics")).text
        assert 'slotwise_wait_seconds_count{class="batch"} 2.0' in text and "_created" not in text
        assert 'slotwise_wait_seconds_bucket{class="batch",le="+Inf"} 2.0' in text
        assert "slotwise_queue_length 0.0" in text

    on(test)


# Ollama's reader takes each of these, or its first part, and would answer it.
UNREAD = {
    "a long number": b'{"model": "m", "messages": [{}], "x": ' + b"9" * 5000 + b"}",
    "deep nesting": b'{"model": "m", "messages": [{}], "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "nesting that can be read and not be written": b'{"messages": [{}], "x": ' + b"[" * 900 + b"]" * 900 + b"}",
    "bytes that are no UTF-8": b'{"model": "m", "messages": [{"content": "\xff"}]}',
    "more after it": b'{"model": "m", "messages": [{}]} {}',
    "no object": b"null",
}


@pytest.mark.parametrize("why", UNREAD)
@pytest.mark.parametrize("path", ["/api/chat", "/interactive/v1/chat/completions"])
def test_a_call_that_cannot_be_read_reaches_no_server_without_a_slot(why: str, path: str) -> None:
    async def test(fake: Fake, up: Up) -> None:
        response = await up.client.post(path, content=UNREAD[why])
        assert response.status_code == 400 and not fake.seen
        assert response.json()["error"].startswith(
            "invalid request body; expected a JSON object in UTF-8, at most 200 levels"
        )

    on(test)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m", "messages": [{"content": "\\ud800"}]}',
        b'{"model": "m", "messages": [{}], "x": [' + b"9" * 400 + b", 1e999, NaN]}",
        b'{"Model": "m", "MESSAGES": [{}]}',
        b'{"model": "m", "me\xc5\xbf\xc5\xbfages": [{}]}',
    ],
)
def test_odd_calls_hold_a_slot_and_go_on_byte_for_byte(body: bytes) -> None:
    async def test(fake: Fake, up: Up) -> None:
        fake.go.clear()
        asked = asyncio.create_task(up.client.post("/api/chat", content=body))
        await standing(up, [(1, 0)])
        fake.go.set()
        assert (await asked).status_code == 200
        assert fake.seen[0][3] == body

    on(test)


def test_interactive_calls_overtake_and_what_holds_no_slot_passes() -> None:
    async def test(fake: Fake, up: Up) -> None:
        fake.go.clear()
        first = asyncio.create_task(up.client.post("/api/chat", json=CHAT))
        await standing(up, [(1, 0)])
        batch = asyncio.create_task(up.client.post("/api/chat", json={**CHAT, "model": "b"}))
        await standing(up, [(1, 1)])
        chat = asyncio.create_task(
            up.client.post("/api/chat", json={**CHAT, "model": "c"}, headers={"X-Slotwise-Class": "interactive"})
        )
        await standing(up, [(1, 2)])
        tags = await up.client.get("/api/tags")
        assert tags.headers["x-own"] == "1"
        loaded = await up.client.post("/api/generate", json={"model": "m"})
        assert loaded.status_code == 200
        fake.go.set()
        assert {r.status_code for r in await asyncio.gather(first, batch, chat)} == {200}
        chats = [json.loads(body)["model"] for _, path, _, body in fake.seen if path == "/api/chat"]
        assert chats == ["m", "c", "b"]

    on(test)


def test_a_client_that_goes_is_dropped_from_the_queue_or_closed_at_the_server() -> None:
    async def test(fake: Fake, up: Up) -> None:
        fake.go.clear()
        first = asyncio.create_task(up.client.post("/api/chat", json=CHAT))
        await standing(up, [(1, 0)])
        second = asyncio.create_task(up.client.post("/api/chat", json=CHAT))
        await standing(up, [(1, 1)])
        second.cancel()
        await standing(up, [(1, 0)])
        first.cancel()
        await standing(up, [(0, 0)])
        async with asyncio.timeout(10):
            await fake.cancelled.wait()
        assert len(fake.seen) == 1

    on(test)


def test_a_full_queue_says_when_to_come_again() -> None:
    async def test(fake: Fake, up: Up) -> None:
        fake.go.clear()
        first = asyncio.create_task(up.client.post("/api/chat", json=CHAT))
        await standing(up, [(1, 0)])
        refused = await up.client.post("/api/chat", json=CHAT)
        assert refused.status_code == 503 and "busy" in refused.json()["error"]
        assert refused.headers["retry-after"] == "1"  # nothing has waited
        fake.go.set()
        assert (await first).status_code == 200

    on(test, queue=0)


def test_a_server_that_dies_is_said_and_another_takes_its_calls() -> None:
    async def main() -> None:
        fake = Fake()
        async with _serving(fake) as url, before("http://127.0.0.1:1", url) as up:
            answer = await up.client.post("/api/chat", json=CHAT)
            assert answer.status_code == 200
            assert up.said == ["http://127.0.0.1:1 does not answer: it gets no calls until it does"]
            assert (await up.client.get("/api/tags")).status_code == 200
        async with before("http://127.0.0.1:1") as up:
            for _ in range(2):
                gone = await up.client.post("/api/chat", json=CHAT)
                assert gone.status_code == 502 and "error" in gone.json()

    asyncio.run(main())


def test_a_stream_that_breaks_off_ends_with_an_error() -> None:
    async def test(fake: Fake, up: Up) -> None:
        fake.breaks = "after"
        lines = (await up.client.post("/api/chat", json=CHAT)).text.splitlines()
        assert lines[0] == PARTS[0].decode().strip() and "broke off" in json.loads(lines[1])["error"]
        await standing(up, [(0, 0)])

    on(test)


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({"Host": "evil.example"}, 403, "--allow-host"),
        ({"Origin": "https://evil.example"}, 403, "--allow-origin"),
        ({"X-Slotwise-Class": "fast"}, 400, "expected interactive or batch"),
        ({"X-Slotwise-Via": "you, me"}, 508, "leads to itself"),
        ({"Origin": "http://localhost:3000"}, 200, ""),
        ({"Origin": "tauri://localhost"}, 200, ""),
    ],
)
def test_who_is_let_in(headers: dict[str, str], status: int, said: str) -> None:
    async def test(fake: Fake, up: Up) -> None:
        answer = await up.client.post("/api/chat", json=CHAT, headers=headers)
        assert answer.status_code == status and said in answer.text
        if "Origin" in headers and status == 200:
            assert answer.headers["access-control-allow-origin"] == headers["Origin"]
            assert b"origin" not in fake.seen[0][2]

    on(test)


def test_an_alias_is_listed_and_stands_for_its_model() -> None:
    async def test(fake: Fake, up: Up) -> None:
        listed = (await up.client.get("/api/tags")).json()["models"]
        assert [each["name"] for each in listed] == ["m", "interactive/m"]
        await up.client.post("/api/chat", json={**CHAT, "model": "interactive/m"})
        assert json.loads(fake.seen[-1][3])["model"] == "m"
        assert 'class="interactive"' in (await up.client.get("/metrics")).text

    on(test, models=("m",))


def test_a_key_makes_interactive_and_goes_nowhere() -> None:
    async def test(fake: Fake, up: Up) -> None:
        await up.client.post("/api/chat", json=CHAT, headers={"Authorization": "Bearer s3cret"})
        text = (await up.client.get("/metrics")).text
        assert 'class="interactive"' in text and "s3cret" not in text
        assert b"authorization" not in fake.seen[0][2]

    on(test, key="s3cret")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("open-webui", "Open-WebUI/0.6", True),
        ("a*c", "xabcx", True),
        ("a*c", "ca", False),
        ("*" * 50 + "b", "a" * 9000, False),
    ],
)
def test_patterns_of_programs(pattern: str, text: str, found: bool) -> None:
    assert matches(pattern, text) is found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurrency": "windw"}, 'did you mean "window"'),
        ({"concurrency": "serial", "limit": 2}, '"serial" has none'),
        ({"concurrency": "reserve"}, "takes one call at a time"),
        ({"scheduling": "shortest-first"}, "a gateway sees single calls"),
        ({"scheduling": "fifo", "ageing_s": 3.0}, '"fifo" has none'),
    ],
)
def test_policies_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        plan_of_gateway(GatewayOptions(upstreams=("u",), **options), ["u"], [1])
