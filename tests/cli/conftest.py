"""What tests of commands share: a fake Ollama on a socket (`server`), and `slotwise run` on it (`run`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_ollama import FakeOllama

from harness.cli.app import _main

WORKLOAD = """
version: 1
name: tiny
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 4}, over: items}
      join: {agent: {prompt: "Join {part}", output_tokens: 4}, after: [part]}
  chat:
    path: interactive
    jobs: 2
    arrival: {closed: 1}
    goal: {first_token_s: 0.000001}
    nodes:
      reply: {agent: {prompt: "Hello", output_tokens: 2}}
inputs:
  items: {list: [a, b]}
servers:
  s: {kind: ollama, model: m, slots: 2, url: "URL"}
compare:
  serial: {placement: s, concurrency: serial}
  both: {placement: s, concurrency: window}
measure: {repeats: 2, warmup: 0}
timeout_s: 5
"""


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    """A fake Ollama that is listening; a chat takes 2 ms of it."""
    fake = FakeOllama(duration=lambda user: 0.002)
    with fake.listening():
        yield fake


@pytest.fixture
def run(
    server: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return `slotwise run` of a tiny workload on it, in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*more: str, timeout_s: float = 5) -> tuple[int, str, str]:
        text = WORKLOAD.replace("URL", server.url).replace("timeout_s: 5", f"timeout_s: {timeout_s}")
        Path("w.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["slotwise", "run", "w.yaml", *more])
        code = _main()
        return code, *capsys.readouterr()

    return run
