"""How fast candidates are evaluated: 10,000 of them (candidate x seed) of a 30-call workload.

    python benchmarks/bench_search.py [workers]

Target: under 30 s on two cores. Prints wall time, and CPU time of all processes, which depends less on other programs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from harness.predict.servers import Profiles
from harness.profiles.load import load_profile
from harness.recommend.evaluate import Problem, Task
from harness.recommend.space import design_space
from harness.recommend.workers import on_cores
from harness.workload.load import load_workload

EVALUATIONS = 10_000
WORKLOAD = """
version: 1
name: thirty-calls
pipelines:
  digest:
    path: batch
    jobs: 2
    nodes:
      part: {agent: {prompt: "Summarise this in one sentence: {item}", output_tokens: [24, 72]}, over: items}
      join: {agent: {prompt: "Join these.", output_tokens: 48}, after: [part]}
  chat:
    path: interactive
    jobs: 12
    arrival: {closed: 1, think_s: 1}
    nodes:
      reply: {agent: {prompt: "A short question.", output_tokens: 32}}
inputs:
  items: {synthetic: {count: 8, tokens: 120}}
servers:
  llama: {kind: llamacpp}
"""


def main() -> None:
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workload.yaml"
        path.write_text(WORKLOAD, encoding="utf-8")
        loaded = load_workload(path)
    profile = load_profile("epyc-2core")
    space = design_space(loaded, profile)
    problem = Problem(space.loaded, Profiles(profile))
    n = len(space.candidates)
    seeds = range(-(-EVALUATIONS // n))
    tasks = [Task(candidate.number, (seed,)) for seed in seeds for candidate in space.candidates][:EVALUATIONS]
    began_s = time.monotonic()
    calls = 0
    with on_cores(problem, workers) as evaluate:
        for found in evaluate(tasks):
            calls += sum(one.calls for one in found)
    wall_s = time.monotonic() - began_s
    times = os.times()
    cpu_s = times.user + times.system + times.children_user + times.children_system
    print(f"{n} candidates, {len(tasks)} evaluations, {calls / len(tasks):.1f} calls each, {workers} processes")
    print(f"{wall_s:.1f} s wall, {cpu_s:.1f} s CPU in all ({1e3 * cpu_s / len(tasks):.2f} ms each)")


if __name__ == "__main__":
    main()
