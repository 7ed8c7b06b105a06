"""`slotwise runs`, `slotwise compare` and `slotwise run --resume`, as they are typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from analysis.scenarios import scenario, steady

from harness.cli.app import _main
from harness.cli.runs import moment
from harness.errors import UserError
from harness.runs.folder import RunFolder, read_run
from harness.runs.model import Run

WORK = {"pipelines": "p1", "agents": "a1", "inputs": "i1", "control": "c1"}
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.chdir(tmp_path)

    def typed(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["slotwise", *map(str, words)])
        code = _main()
        return code, *capsys.readouterr()

    return typed


def write(run: Run, name: str = "digest", hour: int = 0, **changes: Any) -> Path:
    at = datetime(2026, 3, 4, hour, tzinfo=UTC)
    run = run._replace(**{"name": name, "started_at": at.isoformat(), "work": WORK, **changes})
    with RunFolder.create(Path("reports"), name, at) as folder:
        folder.write_header(run)
        folder.add_records(run)
    return folder.path


def run_of(serial: float) -> Run:
    return scenario({"serial": steady(serial), "batched": steady(13.0)})


def test_runs_are_listed_in_80_columns(typed: Typed) -> None:
    write(run_of(16.0))
    write(run_of(16.0), "chat-\x1b[31mred", 5, origin="emulated", machine={"cpu": "An extraordinarily long name " * 3})
    code, out, _ = typed("runs")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["run", "origin", "take", "model", "machine"]
    assert lines[1].startswith("chat- [31mred-20260304-050000") or lines[1].startswith("chat-[31mred-20260304-050000")
    assert lines[2].split()[:4] == ["digest-20260304-000000", "measured", "-", "smollm2-135m"]
    assert all(len(line) <= 80 for line in lines) and "\x1b" not in out


def test_runs_are_filtered(typed: Typed) -> None:
    write(run_of(16.0))
    write(run_of(16.0), "chat", 5, partial=True)
    _, out, _ = typed("runs", "--name", "chat", "--json")
    (row,) = json.loads(out)
    assert (row["workload"], row["state"], row["trials"], row["seed"]) == ("chat", "partial", 10, 7)
    assert "chat" not in typed("runs", "--since", "2026-03-04T06:00+00:00")[1]
    assert typed("runs", "--machine", "no such")[1] == "reports: no runs that fit\n"
    _, out, _ = typed("runs", "--limit", "1")
    assert out.splitlines()[-1] == "the latest 1 of 2 runs; --limit 0 shows all"
    assert len(typed("runs", "--limit", "0", "--name", "digest")[1].splitlines()) == 2


def test_a_partial_run_says_how_to_go_on_wherever_it_is_shown(typed: Typed) -> None:
    run = run_of(16.0)
    path = write(run, "a b", partial=True, trials=run.trials[::2], file="w.yaml")
    command = f"slotwise run --resume '{path}'"
    assert typed("runs")[1].splitlines()[-1] == f"  {command}"
    assert command in " ".join(typed("report", path)[1].replace("│", "").split())
    said = json.loads(typed("report", path, "--json")[1])["notices"][0]
    assert (said["kind"], said["text"].endswith(f". To measure what is missing: {command}")) == ("partial", True)
    for name in ("report.md", "report.html", "summary.json"):
        assert "slotwise run --resume" in (path / name).read_text(), name
    assert typed("runs")[1].splitlines()[-1] == f"  {command}"  # a report makes nothing whole

    # What was predicted, and what names no workload file, is not gone on with.
    for changes in ({"origin": "predicted"}, {"file": ""}):
        other = write(run, "other", 3, partial=True, trials=run.trials[::2], **{"file": "w.yaml", **changes})
        text = typed("report", other)[1]
        assert "Partial: 2 of 5 repeats are complete" in text and "--resume" not in text


def test_a_line_that_was_lost_can_be_measured_again(typed: Typed) -> None:
    path = write(run_of(16.0), file="w.yaml")
    lines = (path / "calls.jsonl").read_bytes().splitlines(keepends=True)
    (path / "calls.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    first, second = json.loads(typed("report", path, "--json")[1])["notices"][:2]
    assert first["kind"] == "lost" and first["text"].endswith(f"slotwise run --resume {path}")
    assert second["text"] == "calls.jsonl: the last line is damaged and was left out; the run was interrupted there."


def test_a_folder_that_cannot_be_written_is_still_shown(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(run_of(16.0))

    def read_only(self: Path, *_: Any, **__: Any) -> Any:
        raise OSError(30, "Read-only file system")

    for name in ("mkdir", "unlink", "replace"):
        monkeypatch.setattr(Path, name, read_only)
    code, out, err = typed("report", path)
    assert code == 2 and out.startswith("Run batched")
    assert err == f"slotwise: {path}: summary.json cannot be written: Read-only file system\n"


def test_mistakes_of_runs_are_a_line(typed: Typed) -> None:
    assert typed("runs", "nowhere")[::2] == (
        2,
        "slotwise: nowhere: no such folder; expected one that holds runs, as `slotwise run --out` makes it\n",
    )
    Path("reports").mkdir()
    code, _, err = typed("runs", "--since", "yesterday")
    assert code == 2 and 'found "yesterday"' in err


def test_since_is_a_date_or_an_age() -> None:
    now = datetime.now(UTC)
    assert abs(now - timedelta(days=7) - moment("7d")) < timedelta(minutes=5)
    assert moment("2026-03-04T05:00+00:00") == datetime(2026, 3, 4, 5, tzinfo=UTC)
    assert moment("2026-03-04").tzinfo is not None
    for wrong in ("7x", "", "99999999d"):
        with pytest.raises(UserError):
            moment(wrong)


def test_compare_names_runs_in_reports(typed: Typed) -> None:
    before, now = write(run_of(16.0)), write(run_of(17.6), hour=1)
    code, out, _ = typed("compare", before.name, now.name)
    assert code == 0
    assert "Worse: serial (batch) slower." in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert typed("compare", before, now)[1] == out
    code, out, _ = typed("compare", before, now, before, "--json")
    found = json.loads(out)
    assert found["compare_version"] == 1
    assert [one["verdict"] for one in found["comparisons"]] == ["regression", "equal"]
    assert "| serial | batch |" in typed("compare", before, now, "--markdown")[1]


def test_a_moved_run_still_opens(typed: Typed, tmp_path: Path) -> None:
    before, now = write(run_of(16.0)), write(run_of(16.0), hour=1)
    typed("runs")
    moved = now.rename(tmp_path / "kept")
    assert typed("compare", before, moved)[0] == 0
    assert typed("report", moved)[0] == 0
    assert typed("runs")[1].count("digest-") == 1


def test_a_regression_fails_the_build(typed: Typed) -> None:
    before, worse, better = write(run_of(16.0)), write(run_of(17.6), hour=1), write(run_of(14.0), hour=2)
    Path("baseline.json").write_text(typed("report", before, "--json")[1])
    gate = ("--baseline", "baseline.json", "--fail-on", "regression")
    assert typed("compare", worse, *gate)[0] == 1
    assert typed("compare", before, *gate)[0] == 0
    assert typed("compare", better, *gate)[0] == 0
    assert typed("compare", worse, "--baseline", before)[0] == 0  # said, and not failed on


def test_mistakes_of_compare_are_a_line(typed: Typed) -> None:
    before, other = write(run_of(16.0)), write(run_of(16.0), hour=1, work={**WORK, "inputs": "i2"})
    Path("x.json").write_text("{")
    for words, said in (
        ((before,), "name two runs, or one run and a --baseline"),
        ((before, "nowhere"), "nowhere: no such run"),
        ((before, "x.json"), "x.json: expected a summary.json that Slotwise wrote"),
        ((before, before, "--fail-on", "regresion"), 'did you mean "regression"?'),
        ((before, other), "they did not do the same work"),
    ):
        code, out, err = typed("compare", *words)
        assert (code, out) == (2, "")
        assert said in err and len(err.splitlines()) == 1


def test_a_run_is_resumed_with_its_own_options(run: Callable[..., Any], typed: Typed) -> None:
    assert run("--seed", "9", "--repeats", "3")[0] == 0
    (path,) = Path("reports").iterdir()
    whole = read_run(path)
    lost = [line for line in (path / "trials.jsonl").read_text().splitlines() if json.loads(line)["repeat"] != 1]
    (path / "trials.jsonl").write_text("\n".join(lost) + "\n")
    code, _, err = typed("run", "--resume", path)
    assert code == 0, err
    found = read_run(path)
    assert not found.partial and found.workload.seed == 9

    def made(run: Run) -> list[Any]:
        return sorted(
            (c.candidate, c.repeat, c.pipeline, c.job, c.node, c.item, c.reply.output_tokens) for c in run.calls
        )

    assert made(found) == made(whole)
    assert {(t.candidate, t.repeat, t.position) for t in found.trials} == {
        (t.candidate, t.repeat, t.position) for t in whole.trials
    }
    (note,) = [note.text for note in found.notes if note.kind == "resumed"]
    assert ": 4 of 6 trials had been measured before" in note and "2 interrupted trials ran again" in note
    assert "Resumed on" in (path / "report.md").read_text()
    kept = {call for call in whole.calls if call.repeat != 1}
    assert kept <= set(found.calls)

    code, _, err = typed("run", "--resume", path)
    assert code == 0 and "nothing is missing" in err
    assert read_run(path).calls == found.calls


def test_mistakes_of_resume_are_a_line(run: Callable[..., Any], typed: Typed) -> None:
    assert run()[0] == 0
    (path,) = Path("reports").iterdir()
    text = Path("w.yaml").read_text()
    for prepare, words, said in (
        (lambda: None, ("--repeats", "3"), "--resume keeps the options of the run"),
        (lambda: None, ("--out", "elsewhere"), "--resume keeps the options of the run"),
        (lambda: Path("w.yaml").write_text(text.replace("[a, b]", "[a]")), (), "(inputs)"),
        (lambda: Path("w.yaml").unlink(), (), "its workload file w.yaml is not there; name it"),
    ):
        prepare()
        code, _, err = typed("run", "--resume", path, *words)
        assert code == 2 and said in err and len(err.splitlines()) == 1, err
    Path("moved.yaml").write_text(text)
    assert typed("run", "moved.yaml", "--resume", path)[0] == 0
    shutil.rmtree(path)
    assert typed("run", "--resume", path)[0] == 2
    assert typed("run")[0] == 2


def test_a_run_that_goes_on_is_never_offered_to_be_resumed(typed: Typed) -> None:
    run = run_of(16.0)
    path = write(run, partial=True, trials=run.trials[:4], file="w.yaml")
    assert "--resume" in typed("runs")[1] and "--resume" in typed("report", path)[1]
    with RunFolder(path):
        out = typed("runs")[1]
        assert "--resume" not in out and "measured, running" in out
        assert json.loads(typed("runs", "--json")[1])[0]["state"] == "running"
        out = typed("report", path, "--full")[1]
        assert "--resume" not in out and "still being measured" in " ".join(out.split())
    assert "--resume" in typed("runs")[1]


def test_a_run_with_no_finished_trial_is_not_measured(typed: Typed) -> None:
    """And not worse: nothing in it is slower or failed."""
    whole, run = write(run_of(16.0)), run_of(16.0)
    none = write(run, hour=1, partial=True, trials=(), jobs=(), calls=(), delays=())
    for pair in ((whole, none), (none, whole)):
        code, out, err = typed("compare", *pair, "--fail-on", "regression")
        assert (code, out) == (2, "")
        assert f"{none.name} is not measured: no trial of serial, batched has finished in it" in err
    of_one: dict[str, Any] = {
        kind: tuple(record for record in getattr(run, kind) if record.candidate == "batched")
        for kind in ("trials", "jobs", "calls", "delays")
    }
    half = write(run, hour=2, partial=True, **of_one)
    code, out, _ = typed("compare", whole, half, "--fail-on", "regression", "--json")
    rows = json.loads(out)["comparisons"][0]["rows"]
    assert code == 0 and {row["candidate"]: row["verdict"] for row in rows} == {
        "serial": "not measured",
        "batched": "equal",
    }


def test_a_regression_has_a_size_and_a_reason(typed: Typed) -> None:
    before, worse = write(run_of(16.0)), write(run_of(17.6), hour=1)
    code, _, err = typed("compare", before, worse, "--fail-on", "regression")
    assert code == 1
    assert err == "slotwise: regression: serial (batch) takes 10.0 % longer, 17.6 s instead of 16.0 s\n"
    assert typed("compare", before, worse, "--fail-on", "regression=9%")[0] == 1
    assert typed("compare", before, worse, "--fail-on", "regression=11%")[::2] == (0, "")
    code, _, err = typed("compare", before, worse, "--fail-on", "regression=ten")
    assert code == 2 and "expected regression or a size such as regression=10%" in err
    code, _, err = typed("compare", before, worse, "--fail-on", "regression=10")
    assert code == 2 and 'did you mean "regression=10%"?' in err


def test_an_error_is_in_the_xml(typed: Typed) -> None:
    before, other = write(run_of(16.0)), write(run_of(16.0), hour=1, work={**WORK, "agents": "a2"})
    code, _, err = typed("compare", before, other, "--junit", "x.xml")
    (error,) = ElementTree.parse("x.xml").getroot().iter("error")
    assert code == 2 and err == f"slotwise: {error.get('message')}\n"


def test_compare_is_quiet(typed: Typed) -> None:
    before = write(run_of(16.0))
    assert typed("compare", before, before, "--quiet", "--html", "x.html")[::2] == (0, "")
