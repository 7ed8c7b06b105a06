"""`slotwise sweep` as a user meets it: mistakes in a line, a fake Ollama, and the real embedded engine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import processes
import pytest
from fake_ollama import on_the_path
from workload.mistaken import one_of

from harness.analysis.sweep import Footprint
from harness.app import machine
from harness.app import sweep as sweeping
from harness.cli.app import _main
from harness.servers import models
from harness.servers.machine import Memory, descendants_rss_bytes
from harness.workload.schema import ENGINES


def slotwise(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["slotwise", "sweep", *arguments])
    return _main()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--engine", "olama"],
            f'--engine: expected {one_of(ENGINES, "")}, found "olama"; did you mean "ollama"?',
        ),
        (["--engine", "ollama"], "--engine ollama: expected a model, found none; choose one with --model"),
        (["--server", "localhost"], '--server: expected a URL such as http://127.0.0.1:11434, found "localhost"'),
        (["--server", "http://h", "--model", "m", "--context", "512"], "leave --context out"),
        (["--server", "http://h", "--model", "m", "--threads", "2"], "leave --threads out"),
        (["--model", "smolm2-135m"], 'did you mean "smollm2-135m"?'),
        (["--model", "nowhere/none.gguf"], "nowhere/none.gguf: no such model file"),
    ],
)
def test_mistakes(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "busy_cores", lambda: None)
    assert slotwise(monkeypatch, *arguments) == 2
    err = capsys.readouterr().err
    assert message in err and "secret" not in err


def test_no_memory_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def told(*_: Any) -> Footprint:
        return Footprint(10**9, 10_000)

    async def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(machine, "busy_cores", lambda: None)
    monkeypatch.setattr(sweeping, "footprint_of", told)
    monkeypatch.setattr(sweeping, "memory", lambda: Memory(10**9, 10**8))
    monkeypatch.setattr(sweeping, "sweep_slots", never)
    assert slotwise(monkeypatch) == 2
    assert (
        "one slot of 2048 tokens needs 1.0 GB (weights 1.0 GB, KV cache 20.5 MB), 100.0 MB" in capsys.readouterr().err
    )


@pytest.fixture
def fake_ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_path(tmp_path, monkeypatch)
    monkeypatch.setattr(machine, "busy_cores", lambda: None)


@pytest.mark.usefixtures("fake_ollama")
def test_a_model_that_is_partly_on_the_accelerator_ends_it_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert slotwise(monkeypatch, "--engine", "ollama", "--model", "mine", "--rounds", "2", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["sweeps"]
    assert [row["slots"] for row in found["rows"]] == [1]
    assert (found["ended"], found["rows"][0]["size_bytes"], found["rows"][0]["vram_bytes"]) == ("accelerator", 100, 40)
    assert "With 1 slot only 40 % of the model is on the accelerator (40 B of 100 B)." in found["sentences"]


@pytest.mark.usefixtures("fake_ollama")
def test_a_server_that_never_starts_is_a_servers_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_OLLAMA", "no-load")
    assert slotwise(monkeypatch, "--engine", "ollama", "--model", "mine") == 3
    assert "mine: did not start: ollama-1: ollama could not load mine" in capsys.readouterr().err


def test_resident_memory_is_that_of_the_processes_below() -> None:
    before = descendants_rss_bytes()
    if before is None:
        pytest.skip("this system does not tell the memory of processes")
    code = "import sys; held = bytearray(50_000_000); print(flush=True); sys.stdin.read()"
    with processes.started([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        during = descendants_rss_bytes() or 0
        process.stdin.close()
    assert 50_000_000 <= during - before < 150_000_000


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness", "sweep", *arguments]


@pytest.mark.engine
@pytest.mark.slow
def test_both_built_in_models_on_the_real_engine() -> None:
    """One and two slots: a figure for each, memory found beside memory predicted, both models in one table."""
    there = [name for name in models.BUILTIN if models.fetched(name)]
    asked = [word for name in there for word in ("--model", name)]
    options = ("--most", "2", "--rounds", "2", "--tokens", "8", "--context", "256", "--threads", "1", "--json")
    done = processes.run(command(*asked, *options), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)["sweeps"]
    assert [sweep["model"] for sweep in answer] == there
    for sweep in answer:
        assert sweep["origin"] == "measured" and sweep["ended"] == "most"
        assert [row["slots"] for row in sweep["rows"]] == [1, 2]
        for row in sweep["rows"]:
            assert row["throughput"]["value"] > 0 and row["first_token_s"] > 0
            assert row["needed_bytes"] == (
                sweep["footprint"]["weights_bytes"] + row["slots"] * 256 * sweep["footprint"]["kv_bytes_per_token"]
            )
            if row["rss_bytes"] is not None:  # not on macOS
                assert row["rss_bytes"] > 50_000_000
    if len(there) < 2:
        pytest.skip("gemma3-270m is not fetched, so there was one model only: slotwise models pull gemma3-270m")


@pytest.mark.engine
def test_ctrl_c_gives_what_there_is(tmp_path: Path) -> None:
    asked = command("--rounds", "2", "--tokens", "2", "--context", "256", "--threads", "1")
    with (
        (tmp_path / "err").open("w+") as err,
        processes.started(asked, limit_s=400, stdout=subprocess.PIPE, stderr=err, text=True) as run,
    ):
        deadline = time.monotonic() + 240
        while "1 slot: " not in (tmp_path / "err").read_text():  # its figure is there
            assert run.poll() is None and time.monotonic() < deadline, (tmp_path / "err").read_text()
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=120)
    assert run.returncode == 130, (tmp_path / "err").read_text()
    assert out.startswith("! Interrupted: smollm2-135m was to be tried with more.\n"), out
    assert "For now, run serially: 1 slot" in out
