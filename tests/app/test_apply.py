"""`slotwise apply` and `--revert`, on files of a temporary folder, with a `systemctl` that only records."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from analysis.scenarios import scenario, steady
from fake_ollama import FakeOllama

from harness.analysis.slots_asked import why_fewer
from harness.app import apply as applying
from harness.app import apply_places
from harness.app.apply import apply as apply_run
from harness.app.apply import carry_out, revert
from harness.app.options import ApplyOptions
from harness.app.report import report
from harness.cli.app import _main
from harness.errors import UserError
from harness.measure.machine import machine_facts
from harness.runs.folder import RunFolder
from harness.wording.applied import where_from
from harness.workload.schema import Workload

Slotwise = Callable[..., tuple[int, str, str]]
OVERRIDE = '[Service]\nEnvironment="OLLAMA_NUM_PARALLEL=2"\nEnvironment="OLLAMA_KEEP_ALIVE=1h"\n'


def written(folder: Path, **times: list[float]) -> Path:
    run = scenario(times or {"serial": steady(16), "batched": steady(13)})
    with RunFolder.create(folder, "it", datetime(2026, 1, 1)) as made:
        made.write_header(run)
        made.add_records(run)
        made.write_header(run)
    return made.path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return written(tmp_path / "reports")


@pytest.fixture
def drop_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where systemd's drop-in of ollama.service goes, on a machine that has one."""
    units = tmp_path / "units"
    units.mkdir()
    (units / "ollama.service").write_text("[Service]\nExecStart=/usr/bin/ollama serve\n")
    monkeypatch.setattr(apply_places, "UNITS", str(units))
    monkeypatch.setattr(apply_places, "UNIT_FOLDERS", (str(units),))
    monkeypatch.setattr(sys, "platform", "linux")
    return units / "ollama.service.d" / "slotwise.conf"


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Put programs on the PATH that only record their arguments; return what was recorded."""
    folder, log = tmp_path / "bin", tmp_path / "executed"
    folder.mkdir()
    for name in ("systemctl", "docker", "launchctl", "brew"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return lambda: log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def slotwise(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Slotwise:
    def type_it(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["slotwise", "apply", *map(str, arguments)])
        code = _main()
        return code, *capsys.readouterr()

    return type_it


def test_a_drop_in_is_written_and_taken_back(
    run: Path, drop_in: Path, executed: Callable[[], list[str]], slotwise: Slotwise
) -> None:
    code, out, err = slotwise(run, "--dry-run")
    assert code == 0, err
    assert '+Environment="OLLAMA_NUM_PARALLEL=4" "OLLAMA_CONTEXT_LENGTH=2048"' in out
    assert "ollama.service is on this machine" in out and "systemctl restart ollama.service" in out
    assert not drop_in.parent.exists()
    code, out, err = slotwise(run, "--yes")
    assert code == 0, err
    assert "[Service]\nEnvironment=" in drop_in.read_text()
    assert "Not restarted" in out and executed() == []
    assert "already as it is to be" in slotwise(run, "--yes")[1]
    code, out, err = slotwise(run, "--revert", "--yes", "--restart")
    assert code == 0, err
    assert "was removed, as it did not exist before" in out
    assert not drop_in.parent.exists()
    assert executed() == ["systemctl daemon-reload", "systemctl restart ollama.service"]


def test_bytes_and_rights_come_back_also_after_two_applies(run: Path, drop_in: Path) -> None:
    drop_in.parent.mkdir()
    before = OVERRIDE.encode() + b"# caf\xe9"  # no UTF-8, and no end of line
    drop_in.write_bytes(before)
    drop_in.chmod(0o640)
    for name in ("serial", "batched"):
        carry_out(apply_run(run, ApplyOptions(candidate=name)))
        assert drop_in.read_bytes().startswith(before)
        assert stat.S_IMODE(drop_in.stat().st_mode) == 0o640
    assert drop_in.read_bytes().count(b"OLLAMA_NUM_PARALLEL=1") == 0
    carry_out(revert(run))
    assert (drop_in.read_bytes(), stat.S_IMODE(drop_in.stat().st_mode)) == (before, 0o640)
    assert [path.name for path in drop_in.parent.iterdir()] == [drop_in.name]
    with pytest.raises(UserError, match="nothing to revert"):
        revert(run)


def test_what_somebody_else_changed_is_not_lost(run: Path, drop_in: Path, slotwise: Slotwise) -> None:
    assert slotwise(run, "--yes")[0] == 0
    changed = drop_in.read_text() + "# mine\n"
    drop_in.write_text(changed)
    code, out, err = slotwise(run, "--revert", "--yes")
    assert (code, drop_in.read_text()) == (2, changed)
    assert "-# mine" in out and "somebody else has changed it since" in err
    carry_out(apply_run(run, ApplyOptions(candidate="serial")))  # keeps that line, and so a revert still asks for force
    assert "# mine\n" in drop_in.read_text()
    assert slotwise("--revert", "--to", drop_in, "--yes")[0] == 2
    assert slotwise("--revert", "--to", drop_in, "--yes", "--force")[0] == 0
    assert not drop_in.exists()


def test_other_drop_ins_are_named_with_the_one_that_wins(run: Path, drop_in: Path, slotwise: Slotwise) -> None:
    drop_in.parent.mkdir()
    (drop_in.parent / "override.conf").write_text(OVERRIDE)
    (drop_in.parent / "zz.conf").write_text("[Service]\nEnvironment=OLLAMA_NUM_PARALLEL=8\nEnvironmentFile=-/etc/o\n")
    said = " ".join(slotwise(run, "--dry-run")[1].split())
    assert "override.conf sets OLLAMA_NUM_PARALLEL=2; this file comes after it and wins" in said
    assert "zz.conf sets OLLAMA_NUM_PARALLEL=8 and wins" in said
    assert "zz.conf reads variables from -/etc/o" in said
    assert "KEEP_ALIVE" not in said


def test_compose(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    monkeypatch.chdir(folder)
    asked = ApplyOptions(kind="compose")
    carry_out(apply_run(run, asked))
    whole = yaml.safe_load(Path("compose.yaml").read_text())
    assert whole["services"]["ollama"]["environment"]["OLLAMA_NUM_PARALLEL"] == "4"
    carry_out(revert(run, asked))
    assert list(folder.iterdir()) == []

    base = "services:\n  llm:\n    image: ollama/ollama:0.33  # mine\n"
    Path("compose.yaml").write_text(base)
    change = apply_run(run, asked)
    carry_out(change)
    assert Path("compose.yaml").read_text() == base
    found = yaml.safe_load(Path("compose.override.yaml").read_text())
    assert found == {
        "services": {"llm": {"environment": {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "2048"}}}
    }
    assert change.commands[0][-4:] == ("up", "-d", "--no-deps", "llm")
    carry_out(revert(run, asked))

    Path("compose.override.yaml").write_text("services: {llm: {restart: always}}\n")  # somebody else's: not merged
    change = apply_run(run, asked)
    assert change.path == folder / "compose.slotwise.yaml"
    with pytest.raises(UserError, match="has services of its own, which are not merged"):
        apply_run(run, ApplyOptions(kind="compose", to=Path("compose.override.yaml")))


def test_mistakes(
    run: Path, drop_in: Path, tmp_path: Path, slotwise: Slotwise, monkeypatch: pytest.MonkeyPatch
) -> None:
    def complaint(*arguments: object) -> str:
        code, _, err = slotwise(*arguments)
        assert code == 2 and err.count("\n") == 1
        return err

    assert "no such run" in complaint(tmp_path / "none", "--yes")
    assert "nobody can be asked here" in complaint(run)
    assert "--as: expected systemd, launchd, compose" in complaint(run, "--as", "sytemd", "--yes")
    assert "--candidate: expected one of" in complaint(run, "--candidate", "batch", "--yes")
    assert "--server: expected one of four-slot" in complaint(run, "--server", "four", "--yes")
    drop_in.parent.mkdir()
    real = tmp_path / "real.conf"
    real.write_text("")
    drop_in.symlink_to(real)
    assert f"it is a link to {real}" in complaint(run, "--yes")
    drop_in.unlink()
    monkeypatch.setattr(applying, "refusal", lambda path: "permission denied")
    code, out, err = slotwise(run, "--yes")
    assert code == 2 and "permission denied. Repeat it with sudo" in err
    assert "To paste:\n" in out and not drop_in.exists()
    (drop_in.parents[1] / "ollama.service").unlink()
    assert "systemd has no ollama.service" in complaint(run, "--as", "systemd", "--yes")


def test_a_run_that_recommends_nothing_names_its_candidates(
    tmp_path: Path, drop_in: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = report(run)
    nothing = found.analysis._replace(choice=found.analysis.choice._replace(settings=()))
    monkeypatch.setattr(applying, "report", lambda folder: found._replace(analysis=nothing))
    with pytest.raises(UserError, match=r"none is recommended: choose with --candidate NAME \(serial, batched\)"):
        apply_run(run)


def test_a_full_disk_leaves_the_file_as_it_was(
    run: Path, drop_in: Path, slotwise: Slotwise, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_in.parent.mkdir()
    drop_in.write_text(OVERRIDE)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = slotwise(run, "--yes")
    assert code == 2 and "cannot be written: no space left on device; it is as it was" in err
    assert drop_in.read_text() == OVERRIDE
    assert [path.name for path in drop_in.parent.iterdir()] == [drop_in.name]


@pytest.mark.parametrize("at", range(8))
def test_a_process_that_is_killed_leaves_the_old_file_or_the_new_one(run: Path, drop_in: Path, at: int) -> None:
    """It is killed at the n-th of the calls that flush or rename; whatever it left can be reverted."""
    drop_in.parent.mkdir()
    drop_in.write_text(OVERRIDE)
    change = apply_run(run)
    child = os.fork()
    if child == 0:  # pragma: no cover - it is killed, and leaves nothing behind but files
        left = [at]

        def killed(true: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object) -> object:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return true(*arguments)

            return call

        os.fsync, Path.replace = killed(os.fsync), killed(Path.replace)  # type: ignore[assignment, method-assign]
        carry_out(change)
        os._exit(0)
    os.waitpid(child, 0)
    assert drop_in.read_text() in (OVERRIDE, change.new)
    if drop_in.read_text() == change.new:
        carry_out(revert(run))
        assert drop_in.read_text() == OVERRIDE
    else:
        carry_out(apply_run(run))
        carry_out(revert(run))
        assert drop_in.read_text() == OVERRIDE


class OneSlot(FakeOllama):
    """An Ollama with one slot, whatever was set."""

    _slot = threading.Lock()

    def _generated(self, *arguments: object) -> Iterator[float | bytes]:
        with self._slot:
            yield from super()._generated(*arguments)  # type: ignore[arg-type]


def test_slots_are_counted_after_a_restart(
    run: Path, drop_in: Path, executed: Callable[[], list[str]], slotwise: Slotwise
) -> None:
    fake = OneSlot(duration=lambda user: 0.02, info={"general.architecture": "lfm2"})
    with fake.listening() as url:
        code, out, err = slotwise(run, "--yes", "--restart", "--url", url)
    assert code == 0, err
    assert executed() == ["systemctl daemon-reload", "systemctl restart ollama.service"]
    assert "4 slots asked for, 1 found. Ollama gives models of the family lfm2 one slot" in " ".join(out.split())


@pytest.mark.parametrize(
    ("found", "family", "can", "why"),
    [
        (4, "lfm2", ("completion",), ""),
        (1, "lfm2", ("completion",), "family"),
        (1, "bert", ("embedding",), "embeds"),
        (1, "llama", None, "not restarted"),
        (2, "llama", None, "not known"),
    ],
)
def test_why_there_are_fewer(found: int, family: str, can: tuple[str, ...] | None, why: str) -> None:
    assert why_fewer(4, found, family, can) == why


def test_what_weakens_the_reason_to_change_a_server_is_said(drop_in: Path, tmp_path: Path) -> None:
    here = " and ".join(str(one) for key, one in machine_facts().items() if key in ("cpu", "accelerator"))
    said = applying.apply(written(tmp_path / "embedded")).notes
    assert said[0].startswith("The run measured the embedded engine, not this server")
    assert said[1] == f'The run was made on another machine ("A quiet processor"; this is "{here}"): measure here first'
    assert where_from("measured", embedded=False, machine=here, here=here) == ()
    (emulated,) = where_from("emulated", embedded=True, machine="", here=here)
    assert emulated.startswith("The run was emulated, not measured: run the workload on this server")


def test_what_is_no_ollama_is_not_applied(drop_in: Path, tmp_path: Path) -> None:
    times = {"serial": steady(16), "batched": steady(13)}
    plain = scenario(times).workload.to_plain()
    for name in plain["servers"]:
        plain["servers"][name] = {"kind": "openai", "url": "http://127.0.0.1:8000/v1", "model": "m", "slots": 4}
    run = scenario(times, spec=Workload.model_validate(plain))
    run = run._replace(servers=tuple(one._replace(kind="openai") for one in run.servers))
    with RunFolder.create(tmp_path, "it", datetime(2026, 1, 1)) as made:
        made.write_header(run)
        made.add_records(run)
        made.write_header(run)
    with pytest.raises(
        UserError, match=r"^four-slot is no Ollama, and apply writes Ollama's settings. Start it again by"
    ):
        apply_run(made.path, ApplyOptions(candidate="batched"))
