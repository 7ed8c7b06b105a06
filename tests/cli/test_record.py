"""`slotwise import record` as it is typed: real programs against the fake Ollama."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import processes
import pytest
from fake_ollama import FakeOllama

from harness.cli.app import _main
from harness.workload.load import load_workload

HTTPX = """
import os, httpx
url = os.environ["OLLAMA_HOST"]
for word in ("one", "two"):
    body = {"model": "m", "messages": [{"role": "user", "content": f"Say this for me: {word}"}], "stream": False,
            "options": {"num_predict": 5}}
    answer = httpx.post(f"{url}/api/chat", json=body, headers={"authorization": "Bearer secret"})
    print(answer.json()["message"]["content"])
"""
GATHER = """
import asyncio, os, httpx
async def main():
    async with httpx.AsyncClient(base_url=os.environ["OLLAMA_HOST"], timeout=60) as client:
        async def call(prompt):
            messages = [{"role": "user", "content": prompt}]
            await client.post("/api/chat", json={"model": "m", "messages": messages, "options": {"num_predict": 7}})
        await call("Plan")
        await asyncio.gather(*(call(f"Write a part of it, number {n}") for n in range(3)))
        await call("Join")
asyncio.run(main())
"""
LANGCHAIN = """
from langchain_ollama import ChatOllama
chat = ChatOllama(model="m", num_predict=6, temperature=0.5)
draft = chat.invoke([("system", "You write."), ("user", "Draft a note")]).content
chat.invoke([("system", "You write."), ("user", f"Improve it: {draft}")])
"""


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    fake = FakeOllama(duration=lambda user: 0.3 if "number" in user else 0.0)
    with fake.listening():
        yield fake


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str], ollama: FakeOllama
) -> Any:
    """Record a program of this text, with options before it; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)

    def run(program: str, *options: str) -> tuple[int, str, str]:
        (tmp_path / "program.py").write_text(program)
        command = ["slotwise", "import", "record", *options, "--", sys.executable, "program.py"]
        monkeypatch.setattr("sys.argv", command)
        try:
            code = _main()
        except SystemExit as leaving:
            code = int(str(leaving.code))
        out = capfd.readouterr()
        return code, out.out, out.err

    return run


@pytest.mark.parametrize(
    ("program", "calls", "tokens", "width"),
    [(HTTPX, 2, (20, 10), 1), (GATHER, 5, (50, 35), 3), (LANGCHAIN, 2, (20, 12), 1)],
)
def test_calls_tokens_and_width_of_programs(
    typed: Any, ollama: FakeOllama, program: str, calls: int, tokens: tuple[int, int], width: int
) -> None:
    if program is LANGCHAIN:
        pytest.importorskip("langchain_ollama")
    code, out, err = typed(program, "--json", "--keep", "kept.jsonl")
    assert code == 0, err
    answer = json.loads(out)  # what the program printed is not in it
    assert len(ollama.chats) == calls
    expected = {"calls": calls, "input_tokens": tokens[0], "output_tokens": tokens[1], "width": width}
    assert {key: answer["found"][key] for key in expected} == expected
    assert {key: answer["made"][key] for key in expected} == pytest.approx(expected)
    assert answer["lost"] == [] and answer["asked"] == answer["questions"]
    loaded = load_workload(Path("program.yaml"))
    assert {server.model for server in loaded.workload.servers.values()} == {"m"}
    kept = Path("kept.jsonl").read_text()
    assert len(kept.splitlines()) == calls + 1 and "secret" not in kept + Path("program.yaml").read_text()
    if program is LANGCHAIN:
        assert {agent.temperature for agent in loaded.workload.agents.values()} == {0.5}


def test_a_kept_recording_is_imported_later(
    typed: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert typed(GATHER, "--keep", "kept.jsonl")[0] == 0
    monkeypatch.setattr("sys.argv", ["slotwise", "import", "record", "--from", "kept.jsonl"])
    assert _main() == 0
    assert "Recorded: 5 calls in 1 job of kept.jsonl." in capfd.readouterr().out
    first, second = Path("program.yaml").read_text(), Path("kept.yaml").read_text()
    assert first.partition("agents:")[2] == second.partition("agents:")[2]


def test_the_exit_code_is_the_program_s(typed: Any) -> None:
    code, out, _ = typed(HTTPX + "\nraise SystemExit(7)")
    assert code == 7 and "wrote program.yaml" in out  # what it sent is a workload nevertheless
    assert typed("raise SystemExit(9)", "--force")[0] == 9
    code, _, _ = typed("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "--force")
    assert code == 128 + signal.SIGTERM


def test_a_program_that_calls_no_model_is_told_how(typed: Any) -> None:
    code, _, err = typed("print('nothing')")
    assert code == 2 and "OLLAMA_HOST" in err and "OPENAI_BASE_URL" in err
    assert not Path("program.yaml").exists()


def test_openai_clients_find_it_too(typed: Any) -> None:
    code, _, _ = typed(
        "import os; e = os.environ; "
        "assert e['OPENAI_BASE_URL'] == e['OPENAI_API_BASE'] == e['OLLAMA_HOST'] + '/v1' and e['OPENAI_API_KEY'];"
        "assert '127.0.0.1' in e['NO_PROXY'] and e['OLLAMA_HOST'].startswith('http://127.0.0.1:')\nraise SystemExit(5)"
    )
    assert code == 5


def test_no_server_and_no_program(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = typed(HTTPX, "--upstream", "http://127.0.0.1:9")
    assert code == 3
    assert err == (
        "slotwise: nothing answers at http://127.0.0.1:9: start Ollama (`ollama serve`; https://ollama.com/download), "
        "name another server with --upstream, or record against a simulated one with --profile epyc-2core\n"
    )
    monkeypatch.setattr("sys.argv", ["slotwise", "import", "record", "--", "./no-such-program"])
    assert _main() == 2
    monkeypatch.setattr("sys.argv", ["slotwise", "import", "record"])
    assert _main() == 2


def test_a_simulated_server_answers_for_any_model(typed: Any) -> None:
    code, out, err = typed(HTTPX, "--profile", "epyc-2core", "--json")
    assert code == 0, err
    assert json.loads(out)["found"]["calls"] == 2 and "simulating epyc-2core" in err


def test_signals_are_passed_on(tmp_path: Path, ollama: FakeOllama) -> None:
    """SIGTERM reaches the program, which ends by itself; what it had sent is a workload."""
    waits = f"{HTTPX}\nimport signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n"
    (tmp_path / "program.py").write_text(f"{waits}open('ready', 'w').close()\nsignal.pause()\n")
    command = [sys.executable, "-m", "harness", "import", "record", "--", sys.executable, "program.py"]
    with processes.started(
        command, cwd=tmp_path, env={**os.environ, "OLLAMA_HOST": ollama.url}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 4 and (tmp_path / "program.yaml").exists()
