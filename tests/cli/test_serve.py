"""`slotwise serve`: refused politely, ended cleanly."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.serve import serve
from harness.errors import SlotwiseError, UserError
from harness.servers import models

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


@pytest.mark.engine
def test_serve_until_ctrl_c() -> None:
    pytest.importorskip("xllamacpp", reason="the embedded engine (xllamacpp) is not installed")
    try:
        models.ensure("smollm2-135m", say=lambda _: None)
    except SlotwiseError as error:
        pytest.skip(f"the default model is not there and cannot be fetched: {error}")
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r})\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from harness.cli.serve import serve\n"
        "serve(slots=2, context_tokens=256, threads=1, port=0)"
    )
    lines: list[str] = []
    command = [sys.executable, "-u", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
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
