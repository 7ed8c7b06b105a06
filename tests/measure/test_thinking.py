"""Before a run: a model that cannot think is found, and what that means is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import VirtualLoop

from harness.drivers.chat import Chat
from harness.errors import UserError
from harness.measure.sender import Endpoint, options_for
from harness.measure.thinking import about_thinking
from harness.runs.model import Note
from harness.servers.spec import RunningServer
from harness.workload.load import load_workload
from harness.workload.schema import AgentSpec

WORKLOAD = """
version: 1
name: w
pipelines:
  chat: {path: interactive, jobs: 1, nodes: {reply: {agent: thinker}, title: {agent: plain, after: [reply]}}}
agents:
  thinker: {prompt: p, output_tokens: 5, think: true, thinking_tokens: 9MORE}
  plain: {prompt: p, output_tokens: 5}
servers:
  s: {kind: llamacpp, model: smollm2-135m}
compare:
  a: {placement: s}
"""
FRONT = RunningServer("s", "llamacpp", "http://s:1", "m", 1, True, "v", True, True, {}, embedded=True)
OLLAMA = FRONT._replace(kind="ollama", can_pin_output=False, embedded=False)
AGENT = AgentSpec(prompt="p", output_tokens=12, think="high", thinking_tokens=30)
RunVirtual = Callable[[Callable[[VirtualLoop], Any]], Any]


def said(folder: Path, run_virtual: RunVirtual, server: RunningServer, answer: Any, more: str = "") -> list[Note]:
    (folder / "w.yaml").write_text(WORKLOAD.replace("MORE", more), encoding="utf-8")
    loaded = load_workload(folder / "w.yaml")

    async def main(loop: VirtualLoop) -> list[Note]:
        chat = Chat(server.url, "m", loop.time)
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
        found = await about_thinking(loaded, {"s": Endpoint(server, chat, None)}, transport)
        await chat.close()
        return found

    return run_virtual(main)  # type: ignore[no-any-return]


@pytest.mark.parametrize("server", [FRONT, OLLAMA], ids=["front", "ollama"])
@pytest.mark.parametrize(
    "answer", [{"capabilities": ["completion", "thinking"]}, {}, []], ids=["can", "?", "no object"]
)
def test_nothing_is_said_of_a_model_that_thinks_or_of_which_nothing_is_known(
    tmp_path: Path, run_virtual: RunVirtual, server: RunningServer, answer: Any
) -> None:
    assert said(tmp_path, run_virtual, server, answer) == []


def test_ollama_has_nothing_in_place_of_thinking(tmp_path: Path, run_virtual: RunVirtual) -> None:
    with pytest.raises(UserError) as caught:
        said(tmp_path, run_virtual, OLLAMA, {"capabilities": ["completion"]})
    assert str(caught.value) == (
        'server "s": smollm2-135m has no thinking, and agents ask for it; take a model that thinks (`ollama show NAME` '
        'lists "thinking"), such as qwen3:0.6b, or remove `think`'
    )


def test_the_embedded_engine_says_what_takes_its_place(tmp_path: Path, run_virtual: RunVirtual) -> None:
    (note,) = said(tmp_path, run_virtual, FRONT, {"capabilities": ["completion"]})
    assert note.kind == "thinking" and "the times are real, but nothing was thought" in note.text
    with pytest.raises(UserError, match="whose answers have a `format`"):
        said(tmp_path, run_virtual, FRONT, {"capabilities": ["completion"]}, ", format: json")


def test_a_simulated_server_is_not_asked(tmp_path: Path, run_virtual: RunVirtual) -> None:
    emulated = FRONT._replace(emulated=True)
    assert said(tmp_path, run_virtual, emulated, {"capabilities": ["completion"]}) == []


def test_the_budget_covers_both(tmp_path: Path) -> None:
    asked = options_for(FRONT, AGENT, 1, thinking_tokens=30)
    assert (asked["num_predict"], asked["thinking_tokens"]) == (42, 30)
    ollama = OLLAMA._replace(managed=False)
    assert options_for(ollama, AGENT, 1, thinking_tokens=30) == {"num_predict": 42, "temperature": 0.0, "seed": 1}
