"""`make fuzz`: all readers in turn, with new seeds, on all cores; every input that breaks one is kept.

PYTHONPATH=tests python -m fuzz --seconds 600 --seed 7      for a time
PYTHONPATH=tests python -m fuzz --inputs 1000000            so many in total
PYTHONPATH=tests python -m fuzz --reader front --try 123    one input alone, with its traceback
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from fuzz.reader import TooSlow, attempt
from fuzz.readers import READERS

MEMORY_BYTES = 4 << 30
BATCH_S = 2.0
KINDS_KEPT = 20  # broken inputs of a reader that are saved: one of each kind


class Batch(NamedTuple):
    """What came of some inputs of a reader, those with the numbers from `first` on."""

    reader: str
    first: int
    tried: int
    values: int
    errors: int
    broken: dict[str, int]  # by kind, an input's number
    broken_count: int
    wall_s: float


def _kind(error: BaseException) -> str:
    """Return where and how it broke, which is the same for all inputs of a kind."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "harness" in frame.filename]
    at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside"
    return f"{type(error).__name__} at {at}"


def batch(name: str, first: int, most: int) -> Batch:
    """Try inputs of a reader for some seconds, or so many."""
    reader, counts, broken, began_s = READERS[name], Counter[str](), dict[str, int](), time.monotonic()
    tried = 0
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        while tried < most and time.monotonic() - began_s < BATCH_S:
            try:
                counts[attempt(reader, reader.make(first + tried), Path(folder))] += 1
            except (Exception, TooSlow) as error:  # noqa: BLE001 - anything that breaks is noted
                counts["broken"] += 1
                broken.setdefault(_kind(error), first + tried)
            tried += 1
    wall_s = time.monotonic() - began_s
    return Batch(name, first, tried, counts["value"], counts["error"], broken, counts["broken"], wall_s)


def limited() -> None:
    """Bound the memory of this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


class Totals:
    """What came of a reader's inputs so far."""

    def __init__(self, first: int) -> None:
        self.next, self.tried, self.values, self.errors, self.broken_count = first, 0, 0, 0, 0
        self.wall_s, self.broken, self.running = 0.0, dict[str, int](), False

    def add(self, done: Batch) -> None:
        """Count a batch."""
        self.next, self.running = done.first + done.tried, False
        self.tried += done.tried
        self.values += done.values
        self.errors += done.errors
        self.broken_count += done.broken_count
        self.wall_s += done.wall_s
        for kind, seed in done.broken.items():
            self.broken.setdefault(kind, seed)


def fuzz(names: list[str], seconds: float, inputs: int, seed: int, cores: int) -> dict[str, Totals]:
    """Run the readers in turn, each for its share, until the time is over or the inputs are done."""
    totals = {name: Totals(seed << 32) for name in names}
    shares = sum(READERS[name].share for name in names)
    quota = {name: round(inputs * READERS[name].share / shares) for name in names} if inputs else {}
    end_s = time.monotonic() + seconds

    def due() -> str | None:
        """Return the reader that has had least, as long as there is something to do."""
        free = [n for n in names if not totals[n].running and (not inputs or totals[n].tried < quota[n])]
        if not free or time.monotonic() >= end_s:
            return None
        return min(free, key=lambda n: totals[n].tried / quota[n] if inputs else totals[n].wall_s)

    with ProcessPoolExecutor(cores, get_context("spawn"), initializer=limited) as pool:
        flying: set[Future[Batch]] = set()
        while True:
            while len(flying) < cores and (name := due()) is not None:
                one = totals[name]
                one.running = True
                flying.add(pool.submit(batch, name, one.next, quota[name] - one.tried if inputs else sys.maxsize))
            if not flying:
                return totals
            done, flying = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                found = future.result()
                totals[found.reader].add(found)


def report(totals: dict[str, Totals], out: Path) -> int:
    """Print a line for each reader and each kind of broken input, which is saved; return the exit code."""
    print(f"{'reader':24}{'inputs':>10}{'values':>10}{'errors':>10}{'broken':>8}{'inputs/s':>10}")
    for name, one in totals.items():
        rate = one.tried / one.wall_s if one.wall_s else 0.0
        print(f"{name:24}{one.tried:10}{one.values:10}{one.errors:10}{one.broken_count:8}{rate:10.0f}")
        for kind, seed in list(one.broken.items())[:KINDS_KEPT]:
            out.mkdir(parents=True, exist_ok=True)
            path = out / f"{name.replace(' ', '-')}-{seed}"
            path.write_bytes(READERS[name].make(seed))
            print(f'  {kind}: {path}\n    PYTHONPATH=tests python -m fuzz --reader "{name}" --try {seed}')
    print(f"{'all':24}{sum(one.tried for one in totals.values()):10}")
    return 1 if any(one.broken_count for one in totals.values()) else 0


def try_one(name: str, seed: int) -> int:
    """Show one input, and what comes of it."""
    data = READERS[name].make(seed)
    print(data[:3000])
    with TemporaryDirectory() as folder:
        print(attempt(READERS[name], data, Path(folder)))
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Random inputs for every reader.")
    parser.add_argument("--seconds", type=float, default=None, help="60, or without an end where --inputs is given")
    parser.add_argument("--inputs", type=int, default=0, help="so many in total")
    parser.add_argument("--seed", type=int, default=None, help="a run with the same seed makes the same inputs")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--reader", choices=READERS, action="append", help="these alone")
    parser.add_argument("--try", type=int, dest="one", help="the input with this number, alone")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="where broken inputs are saved")
    asked = parser.parse_args()
    if asked.one is not None:
        if not asked.reader:
            parser.error("--try needs --reader")
        return try_one(asked.reader[0], asked.one)
    seed = asked.seed if asked.seed is not None else time.time_ns() & 0xFFFFFF
    seconds = asked.seconds if asked.seconds is not None else math.inf if asked.inputs else 60.0
    print(f"seed {seed}", flush=True)
    return report(fuzz(asked.reader or list(READERS), seconds, asked.inputs, seed, asked.cores), asked.out)
