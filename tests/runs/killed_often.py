"""Kill -9 in a loop: a process that measures on exact durations and then reports is killed for real, and resumed.

    python killed_often.py FOLDER KILLS

A program for one slow test, apart from it because it forks: one process imports everything and forks those that are
killed, so that a kill costs milliseconds and the moments lie within the run and not within its imports. It prints, as
JSON, how many kills hit which phase, and fails where anything is lost.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import virtual_run as virtual

from harness.analysis.analyse import analyse
from harness.report.files import write_report
from harness.runs.folder import RECORD_FILES, read_run

PHASES = ("before its first record", "within a trial", "between trials", "while writing the report")
TRIALS = 4


def work(parent: Path, workload: Path) -> None:
    """Begin the run in `parent`, or go on with it, and write its report."""
    there = [path for path in parent.glob("*") if (path / "environment.json").exists()]
    if there:
        (path,) = there
        virtual.resume(path)
    else:
        path = virtual.begin(parent, workload)
    run = read_run(path)
    write_report(path, analyse(run, path), run)


def forked(task: Callable[[], None]) -> int:
    """Have a child do it; return its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            task()
            code = 0
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def whole_lines(path: Path) -> dict[str, list[bytes]]:
    """The lines on disk that a reader can count on, by file; those in cut/ with them."""
    found: dict[str, list[bytes]] = {}
    for kind in RECORD_FILES:
        for file in (path / f"{kind}.jsonl", path / "cut" / f"{kind}.jsonl"):
            if file.exists():
                found.setdefault(kind, []).extend(file.read_bytes().split(b"\n")[:-1])
    return found


def written(path: Path | None) -> int:
    """How many whole lines there are, set aside or not."""
    return 0 if path is None else sum(map(len, whole_lines(path).values()))


def phase_of(path: Path | None, before: int) -> str | None:
    """Where a process was when it was killed, after this many lines; None where it had ended."""
    if path is None or not (path / "environment.json").exists():
        return PHASES[0]
    run = read_run(path)
    if run.partial and written(path) <= before:
        return PHASES[0]
    ended = {(trial.candidate, trial.repeat) for trial in run.trials}
    if any((call.candidate, call.repeat) not in ended for call in run.calls):
        return PHASES[1]
    if run.partial:
        return PHASES[2]
    svgs, pngs = (len(list((path / "charts").glob(f"*.{kind}"))) for kind in ("svg", "png"))
    whole = (path / "report.html").exists() and svgs == pngs > 0 and not list(path.rglob(".*.part"))
    return None if whole else PHASES[3]


def only(parent: Path) -> Path | None:
    """The run folder in `parent` that has a header, or else any."""
    there = sorted(parent.glob("*"), key=lambda path: (path / "environment.json").exists())
    return there[-1] if there else None


def wait(child: int, parent: Path, size: int) -> None:
    """Wait until there are this many bytes of records, or the child has ended (it stays a zombie)."""
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if sum(file.stat().st_size for kind in RECORD_FILES for file in parent.glob(f"*/{kind}.jsonl")) >= size:
            return


def main(folder: Path, kills: int) -> Counter[str]:
    """Kill this many times; raise AssertionError where a run does not end as if undisturbed."""
    virtual.on_fakes(pytest.MonkeyPatch())
    workload = virtual.write_workload(folder)
    undisturbed = virtual.begin(folder / "undisturbed", workload)
    expected = virtual.by_trial(read_run(undisturbed))
    size = sum((undisturbed / f"{kind}.jsonl").stat().st_size for kind in RECORD_FILES)
    began = time.monotonic()
    os.waitpid(forked(lambda: work(folder / "reported", workload)), 0)
    all_s = time.monotonic() - began

    draw, hit, number = random.Random(11), Counter[str](), 0
    while hit.total() < kills:
        number += 1
        parent = folder / str(number)
        seen: list[dict[str, list[bytes]]] = []
        for _ in range(draw.choice((1, 1, 2, 3))):
            before = written(only(parent))
            child = forked(lambda: work(parent, workload))  # noqa: B023
            kind = draw.random()
            if kind < 0.15:  # at the very beginning: folder, header, what was cut is set aside
                time.sleep(draw.uniform(0, 0.02))
            elif kind < 0.25:  # at any time: most of it is the report
                time.sleep(draw.uniform(0, all_s))
            else:  # at any record, or soon after it
                wait(child, parent, round(draw.random() * size))
                time.sleep(draw.choice((0, draw.uniform(0, 0.002))))
            os.kill(child, signal.SIGKILL)
            killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
            path = only(parent)
            phase = phase_of(path, before)
            if killed and phase is not None:
                hit[phase] += 1
            if path is not None:
                seen.append(whole_lines(path))
        _, status = os.waitpid(forked(lambda: work(parent, workload)), 0)  # noqa: B023
        assert os.waitstatus_to_exitcode(status) == 0, number
        path = only(parent)
        assert path is not None and phase_of(path, 0) is None, number
        run = read_run(path)
        assert virtual.by_trial(run) == expected, number
        assert len(run.trials) == TRIALS and not run.partial and not run.notes, number
        after = whole_lines(path)
        for earlier in seen:
            for kind_, lines in earlier.items():
                assert not Counter(lines) - Counter(after[kind_]), (number, kind_)
    return hit


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
