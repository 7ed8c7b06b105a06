"""Kill -9 in a loop, in real time: `slotwise run` on a simulated server is killed for real, and resumed.

    python killed_in_real_time.py FOLDER KILLS

A program for one slow test: one process imports everything and forks those that are killed. Each of them is the real
command; the server stands beside them, in a process of its own. It prints, as JSON, how many kills there were and how
many runs, and fails where anything is lost.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from runs.killed_often import forked, only, whole_lines
from served import served

from harness.cli.app import _main
from harness.report import files
from harness.report.drawing import Drawings
from harness.runs.folder import read_run

LIMIT_S = 1500
WORKLOAD = """
version: 1
name: tiny
pipelines:
  digest:
    path: batch
    jobs: 2
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 8}, over: items}
      join: {agent: {prompt: "Join {part}", output_tokens: 8}, after: [part]}
  chat: {path: interactive, jobs: 3, arrival: {closed: 1}, nodes: {reply: {agent: {prompt: Hi, output_tokens: 8}}}}
inputs:
  items: {list: [a, b, c, d]}
servers:
  s: {kind: ollama, model: epyc-2core, slots: 2, url: "URL"}
compare:
  serial: {placement: s, concurrency: serial}
  both: {placement: s, concurrency: window}
measure: {repeats: 3, warmup: 0}
"""


def slotwise(*arguments: str) -> None:
    """Carry out a command in this process, as the command line does, without drawing charts."""
    vars(files)["drawings_of"] = lambda *_: Drawings({}, "none")  # half a minute of CPU in all
    sys.argv = ["slotwise", *arguments]
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  the process ends
    code = _main()
    if code:
        raise SystemExit(code)


def go_on(parent: Path, workload: Path) -> None:
    """Begin the run in `parent`, or resume it."""
    path = only(parent)
    if path is not None and (path / "environment.json").exists():
        slotwise("run", "--resume", str(path))
    else:
        slotwise("run", str(workload), "--out", str(parent))


def made(path: Path) -> Counter[tuple[object, ...]]:
    """Return which calls, jobs and trials a run has, without its times: those are of the clock."""
    run = read_run(path)
    assert not run.partial, path
    calls = [(*call[:10], call.outcome, call.reply.output_tokens) for call in run.calls]
    jobs = [(job.candidate, job.repeat, job.pipeline, job.job, job.outcome, job.calls) for job in run.jobs]
    return Counter([*calls, *jobs, *((trial.candidate, trial.repeat, trial.complete) for trial in run.trials)])


def main(folder: Path, kills: int, url: str) -> dict[str, int]:
    """Kill this many times; raise AssertionError where a run does not end with the records of one that was not."""
    workload = folder / "w.yaml"
    workload.write_text(WORKLOAD.replace("URL", url), encoding="utf-8")
    began = time.monotonic()
    assert os.waitpid(forked(lambda: go_on(folder / "undisturbed", workload)), 0)[1] == 0
    all_s = time.monotonic() - began
    undisturbed = only(folder / "undisturbed")
    assert undisturbed is not None
    expected = made(undisturbed)
    draw, hit, runs = random.Random(12), 0, 0
    while hit < kills:
        runs += 1
        parent = folder / str(runs)
        seen: list[dict[str, list[bytes]]] = []
        for _ in range(draw.choice((1, 2, 3, 4))):
            child = forked(lambda: go_on(parent, workload))  # noqa: B023
            time.sleep(draw.uniform(0, all_s))
            os.kill(child, signal.SIGKILL)
            hit += os.WIFSIGNALED(os.waitpid(child, 0)[1])
            if (path := only(parent)) is not None:
                seen.append(whole_lines(path))
        assert os.waitpid(forked(lambda: go_on(parent, workload)), 0)[1] == 0, runs  # noqa: B023
        path = only(parent)
        assert path is not None
        assert made(path) == expected, runs
        after = whole_lines(path)
        assert not [kind for old in seen for kind, lines in old.items() if Counter(lines) - Counter(after[kind])], runs
    return {"kills": hit, "runs": runs}


if __name__ == "__main__":
    with served("epyc-2core", 2, speed_up=50, limit_s=LIMIT_S) as at:
        print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), at)))
