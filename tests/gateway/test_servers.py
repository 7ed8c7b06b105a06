"""Servers that break off, go, come back, lead back, or are not to be trusted; and a gateway that ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway.before import CHAT, Fake, Up, before, on, standing
from servers.conftest import _serving

from harness.app.gateway import RunningGateway, _until_told, gateway
from harness.app.options import GatewayOptions
from harness.errors import ServerFailure, UserError
from harness.gateway import health
from harness.gateway.upstream import HttpUpstream, UpstreamError
from harness.measure.progress import SILENT
from harness.servers.child import listen

EVENT = b'data: {"choices":[{"delta":{"content":"so"}}]}\n\n'


@pytest.mark.parametrize(
    ("kind", "part", "line"),
    [
        (b"application/x-ndjson", b'{"done":false}\n', '{"error": "'),
        (b"application/x-ndjson", b'{"done":fal', '\n{"error": "'),
        (b"text/event-stream; charset=utf-8", EVENT, 'data: {"error": {"message": "'),
        (b"text/event-stream", b"data: {", '\ndata: {"error": {"message": "'),
    ],
)
def test_an_answer_that_breaks_off_ends_with_an_error_in_the_form_of_its_stream(
    kind: bytes, part: bytes, line: str
) -> None:
    async def test(fake: Fake, up: Up) -> None:
        fake.breaks, fake.kind, fake.parts = "after", kind, [part]
        text = (await up.client.post("/v1/chat/completions", json=CHAT)).text
        assert text.startswith(part.decode() + line)
        assert "broke off" in text and text.endswith("\n\n" if kind.startswith(b"text/event") else "\n")
        said = json.loads(text.removeprefix(part.decode()).strip().removeprefix("data: "))["error"]
        assert isinstance(said, dict) is kind.startswith(b"text/event")

    on(test)


def test_any_other_answer_that_breaks_off_is_not_completed() -> None:
    async def test(fake: Fake, up: Up) -> None:
        fake.breaks, fake.kind = "after", b"application/json"
        with pytest.raises(httpx.RemoteProtocolError):
            await up.client.post("/api/chat", json=CHAT)

    on(test)


def test_a_server_that_comes_back_gets_calls_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FIRST_S", 0.01)

    async def main() -> None:
        fake, taken = Fake(), listen("127.0.0.1", 0)
        port = taken.getsockname()[1]
        taken.close()
        async with before(f"http://127.0.0.1:{port}") as up:
            gone = await up.client.post("/api/chat", json=CHAT)
            assert gone.status_code == 502 and "does not answer" in gone.json()["error"]
            async with _serving(fake, port):
                async with asyncio.timeout(20):
                    while len(up.said) < 2:  # noqa: ASYNC110 - it says so to nobody
                        await asyncio.sleep(0.01)
                assert up.said[1] == f"http://127.0.0.1:{port} answers again"
                assert (await up.client.post("/api/chat", json=CHAT)).status_code == 200

    asyncio.run(main())


def test_a_conversation_stays_on_its_server_by_its_header_or_by_how_it_began() -> None:
    async def main() -> None:
        one, other = Fake(), Fake()
        async with _serving(one) as a, _serving(other) as b, before(a, b, placement="affinity") as up:
            one.go.clear()
            first = asyncio.create_task(up.client.post("/api/chat", json=CHAT))
            await standing(up, [(1, 0), (0, 0)])
            begun = [*CHAT["messages"], {"role": "assistant", "content": "so"}, {"role": "user", "content": "and?"}]
            later = asyncio.create_task(up.client.post("/api/chat", json={**CHAT, "messages": begun}))
            await standing(up, [(1, 1), (0, 0)])  # though the other one has a slot free
            named = {"X-Slotwise-Session": "mine"}
            await up.client.post("/api/chat", json=CHAT, headers=named)
            await up.client.post("/api/chat", json={**CHAT, "messages": begun}, headers=named)
            assert [len(fake.seen) for fake in (one, other)] == [1, 2]
            one.go.set()
            assert {r.status_code for r in await asyncio.gather(first, later)} == {200}
            assert len(one.seen) == 2

    asyncio.run(main())


CERTIFICATE = Path(__file__).with_name("self_signed.pem")


def test_a_server_whose_certificate_is_not_trusted_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(CERTIFICATE)

    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=shown)
        url = f"https://user:s3cret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(UpstreamError) as refused:
            await HttpUpstream(url).send("GET", "/api/version", [])
        assert "has a certificate that is not trusted here (self" in str(refused.value)
        assert "SSL_CERT_FILE" in str(refused.value) and "s3cret" not in str(refused.value)
        with pytest.raises(ServerFailure, match=r"^--upstream: https://.*not trusted here") as failed:
            await _until_told(GatewayOptions(upstreams=(url,), port=0), [url], lambda _: None, SILENT)
        assert "s3cret" not in str(failed.value) and "\n" not in str(failed.value)
        server.close()

    asyncio.run(main())


def test_a_user_and_a_password_of_a_url_reach_the_server_and_no_message() -> None:
    async def main() -> None:
        fake = Fake()
        async with _serving(fake) as url:
            upstream = HttpUpstream(url.replace("//", "//me:p%40ss@"))
            answer = await upstream.send("GET", "/api/version", [])
            await answer.close()
            upstream.close()
        assert fake.seen[0][2][b"authorization"] == b"Basic bWU6cEBzcw=="
        assert upstream.url == url

    asyncio.run(main())


def test_gateways_that_lead_to_each_other_are_noticed_at_the_first_request() -> None:
    async def main() -> None:
        taken = listen("127.0.0.1", 0)
        port = taken.getsockname()[1]
        taken.close()
        async with (
            before(f"http://127.0.0.1:{port}", own_id="a") as a,
            before(str(a.client.base_url).rstrip("/"), own_id="b", port=port) as b,
        ):
            for up in (a, b):
                for method, path in (("GET", "/api/tags"), ("POST", "/api/chat")):
                    answer = await up.client.request(method, path, json=CHAT)
                    assert answer.status_code == 508 and answer.json()["error"] == "this gateway leads to itself"

    asyncio.run(main())


def test_a_gateway_before_itself_does_not_start_also_not_through_another_one() -> None:
    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    taken.close()
    own = f"http://127.0.0.1:{port}"
    with pytest.raises(UserError, match=f"^--upstream {own}: that is this gateway itself, perhaps through another"):
        gateway(GatewayOptions(upstreams=(own,), port=port))

    async def main() -> None:
        async with before(own, own_id="other") as other:
            url = str(other.client.base_url).rstrip("/")
            with pytest.raises(UserError, match="that is this gateway itself, perhaps through another"):
                await _until_told(GatewayOptions(upstreams=(url,), port=port), [url], lambda _: None, SILENT)

    asyncio.run(main())


def test_a_port_in_use_is_said() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"^127.0.0.1:{port}: cannot listen there .*choose another with --port"):
            gateway(GatewayOptions(upstreams=("http://127.0.0.1:1",), port=port))


def test_a_gateway_that_ends_lets_calls_in_flight_finish_and_tells_those_that_wait() -> None:
    async def main() -> None:
        fake, running = Fake(), asyncio.get_running_loop().create_future()
        async with _serving(fake) as url, httpx.AsyncClient(trust_env=False, timeout=20) as client:
            options = GatewayOptions(upstreams=(url,), slots=(1,), port=0)
            told = asyncio.create_task(_until_told(options, [url], running.set_result, SILENT))
            up: RunningGateway = await running
            fake.go.clear()

            def post() -> asyncio.Task[Any]:
                return asyncio.create_task(client.post(f"{up.url}/api/chat", json=CHAT))

            async def until(what: str) -> None:
                async with asyncio.timeout(20):
                    while what not in (await client.get(f"{up.url}/metrics")).text:  # noqa: ASYNC110 - likewise
                        await asyncio.sleep(0.001)

            flying = post()
            await until(f'slotwise_in_flight{{upstream="{url}"}} 1.0')
            waiting = post()
            await until("slotwise_queue_length 1.0")
            os.kill(os.getpid(), signal.SIGTERM)
            refused = await waiting
            assert refused.status_code == 503 and "ending" in refused.json()["error"] and refused.headers["retry-after"]
            fake.go.set()
            assert (await flying).status_code == 200
            assert await told is True

    asyncio.run(main())


def test_a_call_that_is_in_flight_too_long_for_a_gateway_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.app.gateway.GRACE_S", 0)

    async def main() -> None:
        fake, running = Fake(), asyncio.get_running_loop().create_future()
        fake.stops = True
        async with _serving(fake) as url, httpx.AsyncClient(trust_env=False, timeout=20) as client:
            options = GatewayOptions(upstreams=(url,), slots=(1,), port=0)
            told = asyncio.create_task(_until_told(options, [url], running.set_result, SILENT))
            up: RunningGateway = await running
            async with client.stream("POST", f"{up.url}/api/chat", json=CHAT) as response:
                lines = response.aiter_lines()
                await anext(lines)
                os.kill(os.getpid(), signal.SIGTERM)
                assert json.loads(await anext(lines)) == {"error": "this gateway has ended"}
            assert await told is True
            async with asyncio.timeout(20):
                await fake.cancelled.wait()

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/api/tags", "/api/chat"])
def test_a_header_that_names_no_class_is_told_on_every_request(path: str) -> None:
    async def test(fake: Fake, up: Up) -> None:
        method = "GET" if path == "/api/tags" else "POST"
        answer = await up.client.request(method, path, json=CHAT, headers={"X-Slotwise-Class": "fast"})
        assert answer.status_code == 400
        assert answer.json()["error"] == 'X-Slotwise-Class: expected interactive or batch, found "fast"'
        assert fake.seen == []

    on(test)
