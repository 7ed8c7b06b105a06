"""Who writes a run: a run that goes on is not offered to be gone on with, one that was killed is."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import processes
import pytest

from harness.errors import UserError
from harness.runs.folder import RunFolder
from harness.runs.writer import WRITER_NAME, Writer, note_writer, writer_of

AT = datetime(2026, 3, 4, tzinfo=UTC)
HOLD = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from harness.runs.folder import RunFolder
print(RunFolder.create(Path(sys.argv[1]), "digest", datetime(2026, 3, 4, tzinfo=UTC)).path, flush=True)
time.sleep(600)
"""


def elsewhere(folder: Path, **changes: object) -> None:
    noted = json.loads((folder / WRITER_NAME).read_text())
    (folder / WRITER_NAME).write_text(json.dumps({**noted, **changes}))


def test_a_run_has_a_writer_until_it_is_closed(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "digest", AT) as folder:
        writer = writer_of(folder.path)
        assert writer is not None and (writer.pid, writer.sure) == (os.getpid(), True)
    assert writer_of(folder.path) is None
    assert not (folder.path / WRITER_NAME).exists()
    assert writer_of(tmp_path / "nowhere") is None


def test_a_writer_that_was_killed_is_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with processes.started(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        assert writer_of(path) == Writer(os.uname().nodename, process.pid, sure=True)
        with pytest.raises(UserError, match="another process is writing this run"):
            RunFolder(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (path / WRITER_NAME).exists()
    assert writer_of(path) is None
    RunFolder(path).close()
    assert not (path / WRITER_NAME).exists()


def test_another_machine_is_not_judged_for_sure(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "digest", AT) as folder:
        path = folder.path
    note_writer(path)
    elsewhere(path, host="gpu-box")
    assert writer_of(path) == Writer("gpu-box", os.getpid(), sure=False)
    with pytest.raises(UserError, match=r"gpu-box began to write this run .* delete .*\.writer\.json and try again"):
        RunFolder(path)
    (path / WRITER_NAME).unlink()
    RunFolder(path).close()


def test_without_locks_the_process_and_its_start_tell_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError("no locks here")

    note_writer(tmp_path)
    assert writer_of(tmp_path) is None  # the lock is free, whatever the file says
    monkeypatch.setattr(fcntl, "flock", none)
    writer = writer_of(tmp_path)
    if not Path("/proc/self/stat").exists():
        pytest.skip("the start of a process is not known on this system")
    assert writer is not None and writer.sure
    elsewhere(tmp_path, started="another boot/1")  # the number came back, the process did not
    assert writer_of(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"host": 1}', "[" * 5000])
def test_a_damaged_note_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / WRITER_NAME).write_text(text)
    assert writer_of(tmp_path) is None
