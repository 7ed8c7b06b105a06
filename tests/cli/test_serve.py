"""`slotwise serve`: refused politely, ended cleanly."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import processes
import pytest
import typer
from typer.testing import CliRunner

from harness.cli.serve import serve
from harness.errors import SlotwiseError, UserError
from harness.servers import models

PREFILL = ["--assume", "prefill_s_per_token=0.001"]
ROOT = str(Path(models.__file__).parents[2])


def app() -> typer.Typer:
    it = typer.Typer()
    it.command()(serve)
    return it


def test_a_port_in_use(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(16))  # a header with nothing in it: it never gets to load
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app(), ["--model", str(path), "--port", port])
    assert isinstance(result.exception, UserError)
    assert f"127.0.0.1:{port}: cannot listen there" in str(result.exception)
    assert "--port" in str(result.exception)


@pytest.mark.parametrize("option", [["--slots", "0"], ["--slots", "65"], ["--port", "70000"], ["--threads", "x"]])
def test_numbers_out_of_range(option: list[str]) -> None:
    assert CliRunner().invoke(app(), option).exit_code == 2


def test_no_such_model() -> None:
    result = CliRunner().invoke(app(), ["--model", "smolm2-135m", "--port", "0"])
    assert isinstance(result.exception, UserError)
    assert 'did you mean "smollm2-135m"?' in str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "m1-publishd"], 'no profile "m1-publishd"; did you mean "m1-published"?'),
        (["--profile", "m1-published"], "give it with --assume prefill_s_per_token=..."),
        (["--profile", "m1-published", "--slots", "3"], "made with 1, 4 slots, not with 3"),
        (["--profile", "m1-published", "--model", "x"], "--model goes with the embedded engine"),
        (["--profile", "m1-published", "--batch-tokens", "9"], "--batch-tokens goes with the embedded engine"),
        (["--speed-up", "2"], "--speed-up goes with a simulated server (--profile)"),
        (["--fault", "cut=0.1"], "--fault goes with a simulated server (--profile)"),
        (["--profile", "m1-published", "--fault", "ct=0.1"], 'no fault "ct"; did you mean "cut"?'),
        (["--profile", "m1-published", "--fault", "cut"], 'expected NAME=NUMBER, such as 503=0.1, found "cut"'),
        (["--profile", "m1-published", "--fault", "cut=7"], "faults.cut"),
        (
            ["--profile", "m1-published", "--assume", "x=1", *PREFILL],
            'cannot assume "x"; expected one of prefill_s_per_token',
        ),
    ],
)
def test_options_of_a_simulated_server(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app(), [*options, "--port", "0"])
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_serve_a_profile_until_ctrl_c() -> None:
    given = 'assume=["prefill_s_per_token=0.001"], fault=["cut=0.5"], fault_seed=3, speed_up=100'
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r})\n"
        "from harness.cli.serve import serve\n"
        f"serve(profile='m1-published', slots=[4], port=0, {given})"
    )
    command = [sys.executable, "-u", "-c", code]
    lines: list[str] = []
    with processes.started(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        url = lines[0].split()[2].removesuffix(":")
        with urllib.request.urlopen(f"{url}/api/version") as answer:
            assert json.load(answer)["emulated"] is True
        assert lines[0] == f"m1-published at {url}: 4 slots of 2048 tokens (simulated m1-published)\n"
        said = "".join(lines)
        assert "Not from the profile: prefill_s_per_token = 0.001 is given" in said
        assert "Injected faults: cut 0.5, seed 3\n" in said
        assert "100 times as fast" not in said  # that is progress, and goes to stderr
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "ended\n"
        assert process.wait() == 0


@pytest.mark.engine
def test_serve_until_ctrl_c() -> None:
    pytest.importorskip("xllamacpp", reason="the embedded engine (xllamacpp) is not installed")
    try:
        models.ensure("smollm2-135m", say=lambda _: None)
    except SlotwiseError as error:
        pytest.skip(f"the default model is not there and cannot be fetched: {error}")
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r})\n"
        "from harness.cli.serve import serve\n"
        "serve(slots=[2], context_tokens=256, threads=1, port=0)"
    )
    lines: list[str] = []
    command = [sys.executable, "-u", "-c", code]
    with processes.started(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        url = lines[0].split()[2].removesuffix(":")
        with urllib.request.urlopen(f"{url}/api/ps") as answer:
            assert json.load(answer)["models"][0]["name"] == "smollm2-135m:latest"
        assert lines[0].endswith(f"2 slots of 256 tokens ({lines[0].split('(')[1]}")
        assert f"OLLAMA_HOST={url}" in lines[1]
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "ended\n"
        assert process.wait() == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/api/ps")
