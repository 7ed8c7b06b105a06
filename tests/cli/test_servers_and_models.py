"""`--engine`, `--model` and `--server` mean the same in every command; `score --run` takes them from the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import FakeOllama

from harness.app.options import Changes
from harness.app.workload import load, skipped_text
from harness.cli.app import _main
from harness.content import available
from harness.errors import UserError
from harness.runs.folder import read_run

WORKLOADS = Path(__file__).parents[2] / "workloads"
HERE = "http://127.0.0.1:1"
FORTH = """
version: 1
name: forth
pipelines: {p: {path: batch, jobs: 1, nodes: {a: {agent: {prompt: "Count.", output_tokens: 4}}}}}
servers:
  one: {kind: llamacpp, slots: 1}
  four: {kind: llamacpp, slots: 4}
compare:
  serial: {placement: one, concurrency: serial}
  batched: {placement: four, concurrency: window}
measure: {repeats: 1, warmup: 0}
"""


def slotwise(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["slotwise", *arguments])
    return _main()


OF_TWO_MODELS = {"two-model-cascade"}  # its nodes name models, so one for all of its servers is a mistake


@pytest.mark.parametrize("name", sorted({*available("workloads", ".yaml", WORKLOADS.parent)} - OF_TWO_MODELS))
def test_every_shipped_workload_can_run_on_running_servers_alone(name: str) -> None:
    """With the address of one server what needs no other is left; where nothing is left the message says what to do."""
    path = WORKLOADS / f"{name}.yaml"
    for server in load(path).servers:
        asked = Changes(servers={server: HERE}, model="mine")
        try:
            loaded = load(path, asked)
        except UserError as error:
            assert "--only " in str(error) and "--engine ollama --model mine" in str(error)
            continue
        assert not any(spec.embedded for spec in loaded.servers.values())
        assert all(spec.model == "mine" for spec in loaded.servers.values())
        assert not set(loaded.skipped) & {plan.name for plan in loaded.plans}
        every = {plan.name for plan in load(path, Changes(model="mine")).plans}
        assert set(loaded.skipped) | {plan.name for plan in loaded.plans} == every
    urls = dict.fromkeys(load(path).servers, HERE)
    assert load(path, Changes(servers=urls, model="mine")).skipped == {}  # with all addresses nothing is


def test_candidates_without_an_address_are_skipped_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(FORTH, encoding="utf-8")
    with FakeOllama(models=["mine"], duration=lambda user: 0.002).listening() as url:
        assert slotwise(monkeypatch, "run", "w.yaml", "--server", f"four={url}", "--model", "mine") == 0
    out, err = capsys.readouterr()
    said = 'Skipped: "serial" (no URL for one).'
    assert said in err and said in " ".join(out.split())  # also before the answer
    (folder,) = (path for path in Path("reports").iterdir() if path.is_dir())
    run = read_run(folder)
    assert {call.candidate for call in run.calls} == {"batched"} and run.servers[0].model == "mine"
    assert skipped_text({"serial": "no URL for one"}) == f"{said} Name each server with --server NAME=URL to measure it"


def test_one_address_stands_for_every_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(FORTH, encoding="utf-8")
    with FakeOllama(models=["mine"], duration=lambda user: 0.002).listening() as url:
        assert slotwise(monkeypatch, "run", "w.yaml", "--server", url) == 0  # its only model is taken
        (folder,) = (path for path in Path("reports").iterdir() if path.is_dir())
        out, err = capsys.readouterr()
        assert "on 1 server" in err and "requested" not in out and "Skipped" not in out
        assert slotwise(monkeypatch, "run", "--resume", str(folder)) == 0
        assert "nothing is missing" in capsys.readouterr().err
    run = read_run(folder)
    assert {call.candidate for call in run.calls} == {"serial", "batched"}
    (server,) = run.servers
    assert (server.name, server.model, server.slots_asked) == ("four", "mine", None)
    assert run.options["servers"] == [url]


def test_where_nothing_is_left_it_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(FORTH, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(path, Changes(servers={"one": HERE}, model="mine", only=("batched",)))
    assert str(caught.value) == (
        "--server: every candidate uses a server without a URL (four), where mine is not. To measure on one server: "
        "--server URL, without a name. Or name a URL for each, or for those of one candidate: --server four=URL --only "
        "batched. To start them here on Ollama: --engine ollama --model mine, without --server"
    )
    # On a managed Ollama every server can be started with that model.
    assert load(path, Changes(servers={"one": HERE}, model="mine", engine="ollama")).skipped == {}


def test_the_only_model_of_a_running_server_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(FORTH, encoding="utf-8")
    with FakeOllama(models=["solo:latest"]).listening() as url:
        loaded = load(path, Changes(servers={"four": url}), asking=True)
        assert loaded.servers["four"].model == "solo:latest"
        assert [*loaded.skipped] == ["serial"]  # it would be another model's
        assert load(path, Changes(servers={"four": url})).servers["four"].model == "smollm2-135m"  # nobody was asked
    with FakeOllama(models=["smollm2-135m:latest"]).listening() as url:
        loaded = load(path, Changes(servers={"four": url}), asking=True)
        assert (loaded.servers["four"].model, loaded.skipped) == ("smollm2-135m", {})
    with FakeOllama(models=["a", "b"]).listening() as url:  # which is for the user to say
        assert load(path, Changes(servers={"four": url}), asking=True).servers["four"].model == "smollm2-135m"


PROFILE = """
version: 1
name: p
origin: assumed
source: made up
date: null
machine: a machine on paper
engine: ollama 0
model: mine
model_id: mine
slots:
  1: {step_s: {1: 0.01}, prefill_s_per_token: 0.001, prefill_batch_tokens: 512, context_s_per_token: 0.0,
      before_s: 0.0, after_s: 0.0}
  4: {step_s: {1: 0.01, 4: 0.02}, prefill_s_per_token: 0.001, prefill_batch_tokens: 512, context_s_per_token: 0.0,
      before_s: 0.0, after_s: 0.0}
contention: null
"""


@pytest.mark.parametrize(
    "given", [("--model", "mine"), ("--engine", "ollama", "--model", "mine"), ("--server", f"one={HERE}")]
)
def test_predictions_take_them_too(
    given: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(FORTH, encoding="utf-8")
    Path("p.yaml").write_text(PROFILE, encoding="utf-8")
    if "--model" not in given:
        given = (*given, "--only", "serial", "--model", "mine")
    assert slotwise(monkeypatch, "simulate", "w.yaml", "--profile", "p.yaml", "--repeats", "2", "--json", *given) == 0
    found = json.loads(capsys.readouterr().out)
    assert {server["model"] for server in found["run"]["servers"]} == {"mine"}


def test_a_score_takes_servers_and_models_from_the_run(
    run: Callable[..., Any], server: FakeOllama, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of a workload file that names others; what the run does not record is given as a lever."""
    server.models = ["mine"]
    code, _, err = run("--model", "mine", "--repeats", "2", "--seed", "3")
    assert code == 0, err
    (folder,) = (path for path in Path("reports").iterdir() if path.is_dir())
    Path("p.yaml").write_text(PROFILE.replace("  4: {step_s: {1: 0.01, 4", "  2: {step_s: {1: 0.01, 2"), "utf-8")
    monkeypatch.setenv("SLOTWISE_CACHE", "cache")
    scored = ("score", "w.yaml", "--run", str(folder), "--profile", "p.yaml")
    assert slotwise(monkeypatch, *scored, "--json") == 0, capsys.readouterr().err
    capsys.readouterr()
    assert slotwise(monkeypatch, *scored, "--lever", "kv_type=q8_0") == 2  # that one changes a prediction: test_levers
    assert 'profile "p" does not know what kv_type q8_0 changes' in capsys.readouterr().err
    assert slotwise(monkeypatch, *scored, "--lever", "ram_cach=off") == 2
    assert "--lever: expected one of ram_cache, kv_unified" in capsys.readouterr().err
    assert slotwise(monkeypatch, *scored, "--model", "other") == 2
    assert "--model: " in (said := capsys.readouterr().err) and "has servers and models of its own" in said
    for wrong in ("ram_cache", "=off", "ram_cache="):
        assert slotwise(monkeypatch, *scored, "--lever", wrong) == 2
        assert "--lever: expected NAME=VALUE, such as ram_cache=off" in capsys.readouterr().err
    assert slotwise(monkeypatch, *scored, "--lever", "a=b", "--lever", "a=c") == 2
    assert '--lever a: given twice, as "b" and as "c"' in capsys.readouterr().err
