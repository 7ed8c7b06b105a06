"""`slotwise run` on a server that others use at the same time: it says so while it runs, and above the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import FakeOllama

from harness.analysis.analyse import analyse
from harness.analysis.facts import OtherCalls
from harness.cli.app import _main
from harness.runs.folder import read_run
from harness.runs.model import Run

WAIT_S = 0.8
SHORT = {"prompt_eval_duration": 1_000_000, "eval_duration": 1_000_000}  # ns: the rest of a call is a wait


def others_in(server: FakeOllama, *trials: int) -> None:
    """Have the join of these trials, the one call of its kind, wait for others."""

    def duration(user: str) -> float:
        joins = sum("Join" in body["messages"][-1]["content"] for body in server.chats)
        return WAIT_S if "Join" in user and joins - 1 in trials else 0.002

    server.duration, server.fields = duration, lambda n: SHORT


def only_run() -> Run:
    (folder,) = Path("reports").iterdir()
    return read_run(folder)


def notices(run: Run) -> list[OtherCalls]:
    return [one for one in analyse(run).notices if isinstance(one, OtherCalls)]


def test_the_touched_trial_is_named_everywhere(run: Callable[..., Any], server: FakeOllama) -> None:
    others_in(server, 1)
    code, out, err = run()
    assert code == 0, err
    measured = only_run()
    (found,) = notices(measured)
    (touched,) = found.touched
    second = next(trial for trial in measured.trials if trial.position == 1)
    assert touched[:4] == (second.candidate, second.repeat, "s", 1)
    assert (found.trials, found.without in ("same", "other")) == (4, True)
    assert err.count("others use this server") == 1
    assert "Others used the server in 1 of 4 trials" in out
    (folder,) = Path("reports").iterdir()
    said = f"({second.candidate} repeat {second.repeat + 1})"
    assert said in (folder / "report.md").read_text(encoding="utf-8")
    assert said in (folder / "report.html").read_text(encoding="utf-8")
    texts = [one["text"] for one in json.loads((folder / "summary.json").read_text(encoding="utf-8"))["notices"]]
    assert any(said in text and "--engine ollama" in text for text in texts)


def test_with_every_trial_touched_nothing_is_left_to_say(run: Callable[..., Any], server: FakeOllama) -> None:
    others_in(server, 0, 1, 2, 3)
    code, out, err = run()
    assert code == 0, err
    (found,) = notices(only_run())
    assert (len(found.touched), found.without, found.candidate) == (4, "none", None)
    assert "Others used the server in 4 of 4 trials; too few are left without." in out
    assert err.count("others use this server") == 1


def test_alone_on_the_server_nothing_is_said(run: Callable[..., Any], server: FakeOllama) -> None:
    code, out, err = run()
    assert code == 0, err
    assert "thers use" not in out + err
    assert not notices(only_run())


def test_others_that_are_there_at_the_start_are_said_at_once(run: Callable[..., Any], server: FakeOllama) -> None:
    # The first loads the model, two more warm it up; of the single calls that follow one has to wait.
    server.duration, server.fields = lambda user: WAIT_S if len(server.chats) == 4 else 0.002, lambda n: SHORT
    code, out, err = run()
    assert code == 0, err
    assert "Others used s when it was checked: 1 single call of ours waited up to" in err
    assert "Others used s when it was checked" in out
    assert "others at start" in [note.kind for note in only_run().notes]


def test_nothing_is_calibrated_while_others_are_there(
    server: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # One loads the model, two are for the lengths of prompts, two more warm it up.
    server.duration, server.fields = lambda user: WAIT_S if len(server.chats) == 7 else 0.002, lambda n: SHORT
    monkeypatch.setattr("sys.argv", ["slotwise", "calibrate", server.url, "--name", "p"])
    assert _main() == 3
    assert "others use this server: 1 single call of ours waited up to" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_probe_measures_a_disturbed_burst_again(
    server: FakeOllama, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.duration = lambda user: WAIT_S if server.chats[-1]["options"]["num_predict"] == 2 else 0.002
    server.fields = lambda n: SHORT
    monkeypatch.setattr("sys.argv", ["slotwise", "probe", server.url, "--levels", "1", "--tokens", "2"])
    assert _main() == 0
    said = capsys.readouterr()
    assert "Measured again (3 of at most 3 times)" in said.err
    assert "meanwhile: its slots and figures are not reliable." in said.out
