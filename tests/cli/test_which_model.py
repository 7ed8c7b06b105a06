"""Where a model is asked for: the only one of a server is taken, several are listed, and nobody there is said."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from fake_ollama import FakeOllama

from harness.app.servers import server_named
from harness.cli.app import _main
from harness.errors import ServerFailure, UserError
from harness.servers.ollama_api import normal_url


def nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_the_only_model_is_taken() -> None:
    fake = FakeOllama(models=["solo:latest"])
    with fake.listening() as url:
        assert server_named(url, None)[1].model == "solo:latest"
        assert server_named(url, "other")[1].model == "other"  # what is named is named
    assert fake.chats == []  # nothing but its list was asked for


def test_several_are_listed() -> None:
    with FakeOllama(models=["b", "a"]).listening() as url, pytest.raises(UserError) as caught:
        server_named(f"mine={url}", None)
    assert str(caught.value) == f"{url} has 2 models: a, b. Choose one with --model"
    with FakeOllama(models=[]).listening() as url, pytest.raises(UserError) as caught:
        server_named(url, None)
    assert str(caught.value) == f"{url} has no models; fetch one with: ollama pull NAME"


@pytest.mark.parametrize("command", [["probe"], ["sweep", "--server"], ["calibrate"]])
def test_nothing_listens(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    url = nobody()
    monkeypatch.setattr("sys.argv", ["slotwise", *command, url.replace("//", "//me:secret@")])
    assert _main() == ServerFailure.exit_code
    said = capsys.readouterr().err
    assert "secret" not in said
    assert f"nothing listens at {normal_url('x', url)}: start it with `ollama serve`, or fix the URL" in said


def test_probe_takes_the_only_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fake = FakeOllama(models=["solo:latest"], duration=lambda user: 0.002)
    with fake.listening() as url:
        monkeypatch.setattr("sys.argv", ["slotwise", "probe", url, "--tokens", "4", "--levels", "1,2"])
        assert _main() == 0, capsys.readouterr().err
    assert {chat["model"] for chat in fake.chats} == {"solo:latest"}


def test_run_on_a_server_without_the_workloads_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "version: 1\nname: w\npipelines: {p: {path: batch, jobs: 1, nodes: {a: {agent: chat}}}}\n"
    Path("w.yaml").write_text(text + "servers: {s: {kind: ollama, model: absent}}\n", encoding="utf-8")
    with FakeOllama(models=["b", "a"]).listening() as url:
        monkeypatch.setattr("sys.argv", ["slotwise", "run", "w.yaml", "--only", "window", "--server", f"s={url}"])
        code = _main()
    said = capsys.readouterr().err
    assert 'has no model "absent". It has 2 models: a, b. Choose one with --model' in said
    assert code == UserError.exit_code


def test_the_option_of_an_earlier_version_names_the_new_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["slotwise", "probe", "llamacpp:4", "--rungs", "1,2"])
    assert _main() == 2
    assert capsys.readouterr().err == "slotwise: --rungs is called --levels now\n"
