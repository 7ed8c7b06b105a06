"""What history costs: writing records, ten thousand runs in an index, and a hundred kills.

    python benchmarks/bench_history.py            writing and the index
    python benchmarks/bench_history.py --kills    also a hundred real SIGKILLs of a writing process

How a run continues after a kill is exact and therefore a test: pytest -m slow tests/runs/test_killed_often.py

Targets: under 30 microseconds of CPU per call for its record; `slotwise runs` under 0.3 s from the shell with 10,000
runs. CPU times are valid on a busy machine too; times from the shell need an idle one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from harness.core.records import CallRecord, Reply
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import find_runs

CALLS, RUNS, KILLS = 50_000, 10_000, 100
REPLY = Reply(
    "ok", 12.345678901234, 12.54321098765, 15.67890123456, None, "length", 312, 60, 3.1234567890, 0.00123456789,
    0.98765432101, 2.1234567890, 0.123456789, 0,
)  # fmt: skip
CALL = CallRecord(
    "batched", 3, "measured", "digest", "batch", 2, "summarize", 5, 0, 0, 17, "summarizer", "smollm2-135m",
    "four-slot", 11.123456789, 11.23456789, REPLY,
)  # fmt: skip


def writing(parent: Path) -> tuple[float, float]:
    """CPU and wall microseconds a call for its record: made plain, encoded, handed to the operating system."""
    with RunFolder.create(parent, "writing", datetime.now(UTC)) as folder:
        for _ in range(1000):
            folder.add_call(CALL)
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(CALLS):
            folder.add_call(CALL)
        return (time.process_time() - cpu) / CALLS * 1e6, (time.perf_counter() - wall) / CALLS * 1e6


def made_up(root: Path) -> None:
    """Write ten thousand run folders with what the index reads of them."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(RUNS):
        at = began + timedelta(minutes=30 * number)
        folder = root / f"research-digest-{at:%Y%m%d-%H%M%S}"
        folder.mkdir()
        server = {"name": "four-slot", "kind": "llamacpp", "version": "llama.cpp b6700", "model": f"model-{number % 7}"}
        header = {
            "schema_version": 1, "name": f"digest-{number % 20}", "origin": ("measured", "predicted")[number % 2],
            "started_at": at.isoformat(), "seed": number, "candidates": ["serial", "batched", "split"],
            "machine": {"cpu": f"Processor {number % 5}", "cores": 8}, "servers": [server] * 2, "partial": False,
        }  # fmt: skip
        (folder / "environment.json").write_text(json.dumps(header))
        (folder / "summary.json").write_text(json.dumps({"choice": {"candidate": "batched"}}))
        (folder / "trials.jsonl").write_text("{}\n" * 15)


def shell(root: Path, *more: str) -> tuple[float, float]:
    """Median wall and CPU seconds of `slotwise runs` as a command."""
    walls, cpus = [], []
    for _ in range(7):
        before, wall = os.times(), time.perf_counter()
        command = [sys.executable, "-m", "harness", "runs", str(root), *more]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        walls.append(time.perf_counter() - wall)
        cpus.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return median(walls), median(cpus)


def kills(parent: Path) -> tuple[int, int]:
    """Kill a writing process a hundred times; return how many records were on disk, and how many could be read.

    The process prints the number of each call after it was written: what it has printed must be readable.
    """
    said = read = 0
    draw = random.Random(1)
    for number in range(KILLS):
        code = (
            "import sys\nfrom datetime import UTC, datetime\nfrom pathlib import Path\n"
            "sys.path.insert(0, sys.argv[2])\nfrom bench_history import CALL, header\n"
            "from harness.runs.folder import RunFolder\n"
            "with RunFolder.create(Path(sys.argv[1]), 'killed', datetime.now(UTC)) as folder:\n"
            "    folder.write_header(header())\n"
            "    for n in range(10**9):\n"
            "        folder.add_call(CALL._replace(call=n))\n"
            "        print(n, flush=True)\n"
        )
        here = parent / str(number)
        command = [sys.executable, "-c", code, str(here), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.random() * 0.01)  # so that the kill falls at any point of a write: what is tried here
            os.kill(process.pid, signal.SIGKILL)
            told = process.stdout.read().split(b"\n")[:-1]
        (folder,) = here.iterdir()
        found = len(read_run(folder).calls)
        said, read = said + len(told) + 1, read + found
        assert found >= len(told) + 1, (number, found, len(told))
    return said, read


def header() -> object:
    """Return the header of a run of a shipped workload."""
    from harness.content import shipped
    from harness.runs.model import Run
    from harness.workload.load import load_workload

    loaded = load_workload(shipped() / "workloads/research-digest.yaml")
    return Run(
        "killed", "measured", "2026-03-04T05:06:07+00:00", loaded.resolved(), (), {}, (), (), True, (), (), (), (),
        plans=loaded.plans,
    )  # fmt: skip


def main() -> None:
    """Print the figures."""
    table = Table("what", "found", "target")
    with tempfile.TemporaryDirectory() as scratch:
        parent = Path(scratch)
        cpu, wall = writing(parent / "writing")
        table.add_row("a call's record, CPU", f"{cpu:.1f} us", "< 30 us")
        table.add_row("a call's record, wall", f"{wall:.1f} us", "")
        root = parent / "runs"
        root.mkdir()
        made_up(root)
        began = time.process_time()
        find_runs(root)
        table.add_row(f"first look at {RUNS} runs, CPU", f"{time.process_time() - began:.2f} s", "")
        for more in ((), ("--name", "digest-7", "--origin", "predicted", "--since", "2026-03-01"), ("--json",)):
            wall, cpu = shell(root, *more)
            table.add_row(f"slotwise runs {' '.join(more)}", f"{wall:.3f} s ({cpu:.3f} s CPU)", "< 0.3 s")
        if "--kills" in sys.argv:
            said, read = kills(parent / "kills")
            table.add_row(f"{KILLS} kills: calls told, calls read", f"{said}, {read}", "none lost")
    Console().print(table)


if __name__ == "__main__":
    main()
