"""`slotwise run` against servers that misbehave, on real sockets: a line, the right exit code, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import FakeOllama

from harness.analysis.analyse import analyse
from harness.app.gate import read_fail_on, run_cases
from harness.errors import UserError
from harness.report.junit import reasons
from harness.runs.folder import RunFolder, read_run

SECRET = "s3cret"


def folders() -> list[Path]:
    return sorted(Path("reports").iterdir()) if Path("reports").exists() else []


def test_a_running_server_is_measured_and_its_slots_are_not_believed(
    run: Callable[..., Any], server: FakeOllama
) -> None:
    code, out, _ = run()
    assert code == 0
    assert "How sure" in out
    found = read_run(folders()[0])
    assert (found.servers[0].slots_asked, found.servers[0].baseline is not None) == (2, True)
    assert {call.outcome for call in found.calls} == {"ok"}
    # resolved: the folder needs no other file, and the calls in flight are those of the plan
    assert analyse(found).candidates[1].servers[0].limit == 2


def test_options_of_zero_are_kept_so_that_the_run_can_be_resumed(run: Callable[..., Any], server: FakeOllama) -> None:
    code, _, err = run("--warmup", "0", "--repeats", "1", "--seed", "0")
    assert code == 0, err
    options = read_run(folders()[0]).options
    assert (options["warmup"], options["repeats"], options["seed"]) == (0, 1, 0)
    assert not {"only", "scale", "as_json", "out", "fail_on"} & set(options)


def test_secrets_reach_no_file_and_no_terminal(run: Callable[..., Any], server: FakeOllama) -> None:
    secret_url = server.url.replace("//", f"//me:{SECRET}@")
    code, out, err = run("--server", f"s={secret_url}", "--model", "m")
    assert code == 0, err
    assert SECRET not in out + err
    for file in folders()[0].rglob("*"):
        assert file.is_dir() or SECRET.encode() not in file.read_bytes(), file


def test_a_servers_words_are_shown_as_text(run: Callable[..., Any], server: FakeOllama) -> None:
    words = b'{"error": "\\u001b[31m see https://u:' + SECRET.encode() + b"@h/x?key=" + SECRET.encode() + b'"}'
    server.misbehave = lambda n: (500, words)
    code, out, err = run()
    assert code == 3
    assert "\x1b" not in out + err and SECRET not in out + err
    assert "see https://h/x" in err
    assert folders() == []  # nothing was measured: nothing is kept


def test_failures_are_records_and_the_rest_is_kept(run: Callable[..., Any], server: FakeOllama) -> None:
    began: list[int] = []

    def misbehave(n: int) -> tuple[int, bytes] | None:
        if folders() and (folders()[0] / "trials.jsonl").exists() and (folders()[0] / "trials.jsonl").stat().st_size:
            began.append(n)
        return (503, b'{"error": "server busy"}') if len(began) == 1 else None

    server.misbehave = misbehave
    code, out, _ = run("--fail-on", "failures")
    assert code == 1
    outcomes = [call.outcome for call in read_run(folders()[0]).calls]
    assert outcomes.count("rejected") == 1 and outcomes.count("ok") > 5
    assert "! Failed under" in out


def test_a_full_disk_in_the_middle_is_a_line(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, server: FakeOllama
) -> None:
    written: list[Any] = []

    def add_call(self: RunFolder, record: Any) -> None:
        if len(written) == 3:
            raise UserError("reports: the run folder cannot be written: No space left on device")
        written.append(record)

    monkeypatch.setattr(RunFolder, "add_call", add_call)
    code, _, err = run()
    assert code == 2
    assert err.splitlines()[-1].startswith("slotwise: reports: the run folder cannot be written")


def test_a_missed_goal_fails_where_it_is_asked_to(run: Callable[..., Any], server: FakeOllama) -> None:
    code, _, err = run("--fail-on", "goals")
    analysis = analyse(read_run(folders()[0]))
    found = reasons(run_cases(analysis, read_fail_on(("goals",))))
    assert code == int(bool(found)) and err.splitlines()[-1] == f"slotwise: {found[-1]}"
    undecided = analysis._replace(choice=analysis.choice._replace(candidate=None))
    every = all(any(g.state == "missed" for p in c.pipelines for g in p.goals) for c in analysis.candidates)
    assert every and code == 1 and reasons(run_cases(undecided, read_fail_on(("goals",))))


def test_a_server_that_never_answers_is_given_up(run: Callable[..., Any], server: FakeOllama) -> None:
    gate = threading.Event()

    def misbehave(n: int) -> tuple[int, bytes] | None:
        if n > 12:  # after warming up and counting slots
            gate.wait(60)
        return None

    server.misbehave = misbehave
    code, _, err = run("--repeats", "1", timeout_s=0.2)
    gate.set()
    assert code == 3
    assert "no answer within" in err
