"""`slotwise run` on simulated servers, end to end: emulated everywhere, measured nowhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import processes
import pytest
from tiny import PIPELINES

from harness.errors import UserError, WorkloadError
from harness.runs.folder import read_run
from harness.runs.model import Note
from harness.workload.load import Overrides, load_workload
from harness.workload.schema import LlamaCppServer, OllamaServer, SimulatedServer

ASSUMED = ("--assume", "prefill_s_per_token=0.001")
PROFILE = """
version: 1
name: {name}
origin: assumed
source: made up
date: null
machine: none
engine: none
model: none
slots:
  1: {{step_s: {{1: 0.02}}, prefill_s_per_token: null, prefill_batch_tokens: 64, context_s_per_token: 0.0,
      before_s: 0.002, after_s: 0.001}}
  2: {{step_s: {{1: 0.02, 2: 0.03}}, prefill_s_per_token: null, prefill_batch_tokens: 64, context_s_per_token: 0.0,
      before_s: 0.002, after_s: 0.001}}
contention: null
"""
TINY = (
    PIPELINES
    + """\
servers:
  one: {kind: simulated, profile: toy, slots: 1, assume: {prefill_s_per_token: 0.001}, speed_up: 4}
  two: {kind: simulated, profile: toy, slots: 2, assume: {prefill_s_per_token: 0.001}, speed_up: 4}
compare:
  serial: {placement: one, concurrency: serial}
  batched: {placement: two, concurrency: window, scheduling: interactive-first}
  split: {placement: {digest: two, chat: one}, concurrency: {one: serial, two: window}}
measure: {repeats: 2, warmup: 0}
"""
)


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/toy.yaml").write_text(PROFILE.format(name="toy"), encoding="utf-8")
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


def slotwise(*arguments: str, cwd: Path, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *arguments]
    env = {**os.environ, **({"SLOTWISE_CACHE": str(cache)} if cache else {})}
    return processes.run(command, cwd=cwd, env=env, capture_output=True, text=True)


def test_emulated_from_the_workload_to_the_report(workload: Path, tmp_path: Path) -> None:
    done = slotwise("run", "tiny.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "reports").iterdir()
    run = read_run(folder)
    assert not run.partial
    origins = {run.origin, *(trial.origin for trial in run.trials), *(job.origin for job in run.jobs)}
    assert origins | {call.origin for call in run.calls} == {"emulated"}
    assert {call.outcome for call in run.calls} == {"ok"}
    assert {(server.kind, server.model, server.slots_asked) for server in run.servers} == {
        ("simulated", "toy", 1),
        ("simulated", "toy", 2),
    }
    assert all(server.details["speed_up"] == 4 and server.details["profile"] == "toy" for server in run.servers)
    notes = " ".join(note.text for note in run.notes)
    assert 'Server "one", not from the profile: prefill_s_per_token = 0.001 is given' in notes
    assert 'Server "two": all its times are those of its profile divided by 4.' in notes
    assert (
        "How much these simulated servers would slow each other on one machine is not known: split would be slower"
        in notes
    )

    for call in run.calls:  # the server's times, a quarter of the profile's
        reply = call.reply
        tokens = reply.output_tokens or 0
        assert tokens == (3 if call.path == "interactive" else 4)
        assert (reply.decode_s or 0) >= (tokens - 1) * 0.005 - 1e-9
        assert (reply.prefill_s or 0) >= 0.00025 * (reply.prompt_tokens or 0) - 1e-9
        assert reply.queue_s is not None

    said = done.stdout + (folder / "report.md").read_text(encoding="utf-8")
    said += (folder / "summary.json").read_text(encoding="utf-8")
    said += "".join(chart.read_text(encoding="utf-8") for chart in (folder / "charts").glob("*.svg"))
    assert "Emulated: the servers were simulated. No engine was measured." in said
    for line in said.splitlines():
        assert "measured" not in line.lower().replace("no engine was measured", ""), line

    cache = tmp_path / "cache"
    scored = slotwise(
        "score", "tiny.yaml", "--profile", "toy", "--run", str(folder), *ASSUMED, cwd=tmp_path, cache=cache
    )
    assert scored.returncode == 0, scored.stderr
    assert scored.stdout.count("The prediction was off by") == 1
    assert not list(cache.rglob("*"))  # nothing to remember of the profile's error

    # A colleague who has the folder and nothing else runs it again.
    (tmp_path / "elsewhere").mkdir()
    folder.rename(tmp_path / "elsewhere/run")
    shutil.rmtree(tmp_path / "profiles")
    workload.unlink()
    again = slotwise("run", "run/workload.yaml", "--only", "serial", "--repeats", "1", cwd=tmp_path / "elsewhere")
    assert again.returncode == 0, again.stderr
    (other,) = (tmp_path / "elsewhere/reports").iterdir()
    assert read_run(other).work == run.work


def test_faults_of_a_run_are_counted_and_named(workload: Path, tmp_path: Path) -> None:
    text = TINY.replace("slots: 2,", "slots: 2, faults: {503: 0.5}, fault_seed: 1,")
    workload.write_text(text, encoding="utf-8")
    done = slotwise("run", "tiny.yaml", "--only", "batched", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "reports").iterdir()
    run = read_run(folder)
    assert {call.outcome for call in run.calls} >= {"rejected"}
    assert {call.reply.error for call in run.calls if call.outcome == "rejected"} == {
        "503: server busy, please try again. maximum pending requests exceeded"
    }
    assert Note("faults", 'Server "two", injected faults: 503 0.5, seed 1.') in run.notes
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_a_value_that_nobody_gave_stops_the_run_at_once(workload: Path, tmp_path: Path) -> None:
    workload.write_text(TINY.replace("assume: {prefill_s_per_token: 0.001}, ", ""), encoding="utf-8")
    done = slotwise("run", "tiny.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert 'one: profile "toy" does not have prefill_s_per_token' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("profile: toy, slots: 1", "profile: tyo, slots: 1", r':20:35: server "one": no profile "tyo"; did'),
        ("speed_up: 4}", "speed_up: 0}", r"servers\.one\.speed_up: expected more than 0, found 0"),
        ("speed_up: 4}", "batch_tokens: 2}", r'unknown key "batch_tokens" in servers\.one'),
        ("speed_up: 4}", "faults: {cutt: 0.1}}", r'no fault "cutt"; did you mean "cut"'),
        ("speed_up: 4}", "faults: {cut: 1.5}}", r"faults\.cut: expected at most 1, found 1\.5"),
        ("speed_up: 4}", "faults: {cut: 0.7, 503: 0.7}}", r"expected shares that add up to 1 at most, found 1\.4"),
        ("speed_up: 4}", "assume: {x: -1}}", r"assume"),
    ],
)  # fmt: skip
def test_mistakes_in_a_simulated_server(workload: Path, old: str, new: str, message: str) -> None:
    workload.write_text(TINY.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(WorkloadError, match=message):
        load_workload(workload)


def test_overrides_leave_a_simulated_server_what_it_is(workload: Path) -> None:
    loaded = load_workload(workload, Overrides(engine="ollama"))
    assert all(isinstance(spec, SimulatedServer) for spec in loaded.servers.values())
    with pytest.raises(UserError, match="--model: a simulated server has the model of its profile, here toy"):
        load_workload(workload, Overrides(model="other"))
    spec = load_workload(workload, Overrides(server_urls={"two": "http://127.0.0.1:1"})).servers["two"]
    assert isinstance(spec, OllamaServer)
    assert (spec.model, spec.slots, spec.url) == ("toy", 2, "http://127.0.0.1:1")


def test_the_standard_set_on_a_simulated_server(workload: Path) -> None:
    text = TINY[: TINY.index("compare:")].replace("  one: {kind: simulated, profile: toy, slots: 1,", "  # {")
    workload.write_text(text, encoding="utf-8")
    loaded = load_workload(workload)
    assert set(loaded.servers) == {"two", "one-slot"}  # no halves: it has no threads
    twin = loaded.servers["one-slot"]
    assert isinstance(twin, SimulatedServer)
    assert (twin.slots, twin.speed_up, dict(twin.assume)) == (1, 4, {"prefill_s_per_token": 0.001})
    assert not any(isinstance(spec, LlamaCppServer) for spec in loaded.servers.values())
