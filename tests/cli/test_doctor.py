"""`slotwise doctor`: every line says what is there, or what to do."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import typer
from fake_ollama import FakeOllama
from fake_openai import FakeOpenAi
from typer.testing import CliRunner

from harness.app import doctor
from harness.cli.doctor import doctor as command
from harness.servers import accelerator, machine
from harness.servers.fronts import child


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Return a runner on a machine with an empty cache, nothing on the PATH, and no server."""
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setattr(doctor, "OPENAI_HERE", ())
    monkeypatch.setattr(machine, "busy_cores", lambda: 0.0)
    return CliRunner()


def app() -> typer.Typer:
    it = typer.Typer()
    it.command()(command)
    return it


def states(output: str) -> dict[str, str]:
    return {line["what"]: line["state"] for line in json.loads(output)}


def test_what_is_missing_comes_with_advice(runner: CliRunner) -> None:
    result = runner.invoke(app(), ["--json"])
    for line in json.loads(result.output):
        assert (line["state"] == "ok") == (line["advice"] == "")
    found = states(result.output)
    assert {"python", "engine", "model", "ollama", "server", "cores", "memory", "load", "disk"} <= set(found)
    assert (found["python"], found["model"], found["ollama"]) == ("ok", "missing", "missing")


def test_nothing_that_can_run_anything(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = doctor.Finding("engine", "missing", "no embedded engine", "Install it", {})
    nobody = doctor.Finding("server", "missing", "nothing answers", "Start one", {})
    monkeypatch.setattr(doctor, "_engine", lambda: missing)
    monkeypatch.setattr(doctor, "_servers", lambda: [nobody])
    result = runner.invoke(app(), [])
    assert result.exit_code == 3
    assert result.output.startswith("Not ready to measure: there is no engine, no Ollama and no server.")
    assert "missing  engine       no embedded engine. Install it\n" in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80


def test_the_answer_comes_first() -> None:
    def found(*there: str) -> list[doctor.Finding]:
        return [
            doctor.Finding(what, "ok" if what in there else "missing", "", "", {})
            for what in ("python", "engine", "model", "ollama", "server")
        ]

    assert doctor.conclusion(found("engine", "model")) == (
        "Ready: slotwise run FILE measures with the embedded engine."
    )
    assert "the first run fetches its model." in doctor.conclusion(found("engine", "ollama"))
    assert "--engine ollama" in doctor.conclusion(found("ollama"))


@pytest.mark.parametrize(
    ("url", "models", "said"),
    [
        ("http://127.0.0.1:11434", ["m"], "Your server at :11434: slotwise run FILE --server http://127.0.0.1:11434"),
        ("http://gpu:8000/v1", ["m", "n"], "Your server at gpu:8000: slotwise run FILE --server http://gpu:8000/v1 "
         "--model NAME"),
    ],
)  # fmt: skip
def test_a_server_that_answers_comes_before_the_engine(url: str, models: list[str], said: str) -> None:
    engine = doctor.Finding("engine", "ok", "", "", {})
    server = doctor.Finding("server", "ok", "", "", {"url": url, "models": models})
    assert doctor.conclusion([engine, server]) == said


def test_a_vllm_where_it_usually_listens_is_found(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeOpenAi(models=["Qwen/Qwen3-8B"], owned_by="vllm")
    with fake.listening() as url:
        monkeypatch.setattr(doctor, "OPENAI_HERE", ("http://127.0.0.1:1/v1", f"{url.removesuffix('/v1')}/v1"))
        result = runner.invoke(app(), [])
    assert result.output.startswith("Your server at :") and "Qwen/Qwen3-8B" in result.output


def test_the_answer_without_anything() -> None:
    def found(*there: str) -> list[doctor.Finding]:
        return [doctor.Finding(what, "ok", "", "", {}) for what in there]

    assert doctor.conclusion(found("python")).startswith("Not ready to measure: ")


def test_a_busy_machine_is_warned_about(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "busy_cores", lambda: 1.5)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    (load,) = (line for line in json.loads(runner.invoke(app(), ["--json"]).output) if line["what"] == "load")
    assert (load["state"], load["found"]) == ("warning", "1.5 of 2 cores busy")


def test_ollama_and_its_version(runner: CliRunner, tmp_path: Path) -> None:
    binary = tmp_path / "ollama"
    binary.write_text("#!/bin/sh\necho 'Warning: could not connect to a running Ollama instance'\n"
                      "echo 'Warning: client version is 0.33.0' >&2\n")  # fmt: skip
    binary.chmod(0o755)
    (line,) = (line for line in json.loads(runner.invoke(app(), ["--json"]).output) if line["what"] == "ollama")
    assert (line["state"], line["found"]) == ("ok", f"0.33.0 at {binary}")


def test_little_memory_for_what_ollama_keeps(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def memory(available_bytes: int) -> tuple[str, str]:
        monkeypatch.setattr(machine, "memory", lambda: machine.Memory(16_000_000_000, available_bytes))
        lines = json.loads(runner.invoke(app(), ["--json"]).output)
        return next((line["state"], line["advice"]) for line in lines if line["what"] == "memory")

    assert memory(6_000_000_000) == ("ok", "")  # nobody keeps anything there
    binary = tmp_path / "ollama"
    binary.write_text("#!/bin/sh\necho 'ollama version is 0.33.0'\n")
    binary.chmod(0o755)
    said = "That is more than is available: start ollama serve with LLAMA_ARG_CACHE_RAM=0"
    assert memory(6_000_000_000) == ("warning", said)
    assert memory(9_000_000_000) == memory(0) == ("ok", "")  # 0: the system does not say
    monkeypatch.setenv("LLAMA_ARG_CACHE_RAM", "0")
    assert memory(6_000_000_000) == ("ok", "")


def test_running_servers(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps() -> str:
        async with child("x", "canned", {}) as ready:
            monkeypatch.setenv("OLLAMA_HOST", ready["url"].replace("//", "//me:secret@"))
            return (await asyncio.to_thread(runner.invoke, app(), ["--json"])).output

    output = asyncio.run(steps())
    line = next(line for line in json.loads(output) if line["what"] == "server")
    assert line["state"] == "ok"
    assert line["found"].startswith("canned 1 at http://127.0.0.1:")
    assert line["found"].endswith(", 1 model, loaded: canned:latest")
    assert "secret" not in output


def test_a_named_server_may_speak_either_api(runner: CliRunner) -> None:
    def asked(url: str) -> dict[str, str]:
        lines = json.loads(runner.invoke(app(), ["--json", "--server", url]).output)
        return next(line for line in lines if line["what"] == "server")

    props = {"total_slots": 2, "build_info": "b10488"}
    with FakeOpenAi(models=["a", "b"], owned_by="llamacpp", props=props).listening() as url:
        found = asked(url)
    assert found["state"] == "ok"
    assert found["found"] == f"llama-server b10488 at {url}, 2 models: a, b; 2 slots"
    with FakeOllama().listening() as url:
        assert asked(url)["found"].startswith("Ollama ") and asked(url)["state"] == "ok"
    assert asked("http://127.0.0.1:9")["state"] == "missing"
    assert asked("http://host:port")["state"] == "warning"


def test_a_variable_that_is_no_address(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://host:port")
    result = runner.invoke(app(), ["--json"])
    assert states(result.output)["server"] == "warning"


@pytest.mark.ollama
@pytest.mark.skipif(shutil.which("ollama") is None, reason="no `ollama` binary on the PATH")
def test_the_real_ollama() -> None:
    assert doctor._ollama().state == "ok"


def test_accelerators_and_layers_on_the_cpu_are_named(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (accelerator.Accelerator("NVIDIA L4", 24_000_000_000, 20_000_000_000),)
    monkeypatch.setattr(accelerator, "find_accelerators", lambda: found)
    fake = FakeOllama(size_vram=60)
    fake.loaded.append("m")
    with fake.listening() as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        lines = {line["what"]: line for line in json.loads(runner.invoke(app(), ["--json"]).output)}
    assert lines["accelerator"]["found"].startswith("NVIDIA L4, 20.0 GB of 24.0 GB free")
    assert (lines["layers"]["state"], lines["layers"]["found"]) == ("warning", "layers on the CPU: 40 % of m")
    assert lines["server"]["state"] == "ok"
    assert "may fill 8 GiB of it with earlier prompts" in lines["memory"]["found"]
    whole = FakeOllama()
    whole.loaded.append("m")
    with whole.listening() as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert "layers" not in states(runner.invoke(app(), ["--json"]).output)
