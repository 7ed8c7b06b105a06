"""Images on the wire, and whether a model can see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import VirtualLoop
from fake_ollama import FakeOllama
from predict.emulated import emulate, on_simulated_servers

from harness.core.events import Call
from harness.core.records import ChatRequest, Reply
from harness.drivers.chat import Chat
from harness.errors import UserError
from harness.measure.images import images_for
from harness.measure.sender import Endpoint
from harness.predict.forecast import forecast
from harness.servers.spec import RunningServer
from harness.workload.load import load_workload

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
WORKLOAD = """
version: 1
name: w
pipelines:
  p: {path: interactive, jobs: 2, nodes: {read: {agent: reader}}}
agents:
  reader: {prompt: "What is it?", output_tokens: 5, images: [a.png], image_tokens: 500}
servers:
  s: {kind: llamacpp}
compare:
  one: {placement: s, concurrency: serial}
"""
FRONT = RunningServer("s", "llamacpp", "http://s:1", "m", 1, True, "v", True, True, {}, embedded=True)
OLLAMA = FRONT._replace(kind="ollama", can_pin_output=False, embedded=False)
RunVirtual = Callable[[Callable[[VirtualLoop], Any]], Any]


def written(folder: Path) -> Path:
    (folder / "a.png").write_bytes(PNG)
    (folder / "w.yaml").write_text(WORKLOAD, encoding="utf-8")
    return folder / "w.yaml"


def asked(folder: Path, run_virtual: RunVirtual, server: RunningServer, able: Any) -> dict[str, str]:
    loaded = load_workload(written(folder))

    async def main(loop: VirtualLoop) -> dict[str, str]:
        chat = Chat(server.url, "m", loop.time)
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json=able))
        found = await images_for(loaded, {"s": Endpoint(server, chat, None)}, transport)
        await chat.close()
        return found

    return run_virtual(main)  # type: ignore[no-any-return]


@pytest.mark.parametrize("able", [{"capabilities": ["completion", "vision"]}, {}])
def test_a_model_that_sees_or_of_which_nothing_is_known_gets_them(
    tmp_path: Path, run_virtual: RunVirtual, able: Any
) -> None:
    assert asked(tmp_path, run_virtual, OLLAMA, able) == {"a.png": "data:image/png;base64,iVBORw0KGgpwaXhlbHM="}


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (OLLAMA, 'server "s": smollm2-135m does not see images, and node "read" has some; take a model that does '),
        (FRONT, 'server "s": the embedded engine takes no images, and node "read" has some'),
    ],
    ids=["ollama", "front"],
)
def test_where_nothing_sees_the_run_is_refused(
    tmp_path: Path, run_virtual: RunVirtual, server: RunningServer, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        asked(tmp_path, run_virtual, server, {"capabilities": ["completion"]})
    assert str(caught.value).startswith(message)


def test_they_are_sent_in_the_message(run_virtual: RunVirtual) -> None:
    async def main(loop: VirtualLoop) -> tuple[Reply, list[dict[str, Any]]]:
        fake = FakeOllama(loop.time)
        chat = Chat("http://s:1", "m", loop.time, transport=fake.transport())
        url = "data:image/png;base64,iVBORw0KGgpwaXhlbHM="
        reply, _ = await chat.ask(ChatRequest(None, "What is it?", {}, stream=False, images=(url,)))
        return reply, fake.chats

    reply, chats = run_virtual(main)
    assert reply.outcome == "ok"
    (message,) = chats[0]["messages"]
    assert message["images"] == ["iVBORw0KGgpwaXhlbHM="]
    assert message["content"].strip() == "What is it?"
    assert "data:" not in json.dumps(chats[0])


def test_a_simulated_server_counts_them_as_a_prediction_does(tmp_path: Path, run_virtual: RunVirtual) -> None:
    written(tmp_path)
    other = tmp_path / "simulated"
    other.mkdir()
    (other / "a.png").write_bytes(PNG)
    loaded = on_simulated_servers(tmp_path / "w.yaml", other)
    (plan,) = loaded.plans
    kept = run_virtual(partial(emulate, loaded=loaded, plan=plan, repeat=0))
    assert len(kept.calls) == 2
    for call in kept.calls:
        assert call.outcome == "ok"
        assert 500 < (call.reply.prompt_tokens or 0) < 520
    tokens = forecast(loaded, None)(plan.name, 0)
    assert {call.reply.prompt_tokens for call in kept.calls} == {tokens(Call(0, 0, 0, 0, 0, 0, 0, 0.0))[0]}
