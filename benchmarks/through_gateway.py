"""One design measured twice, in turns: with its policy in the harness, and with its policy in the gateway alone.

    python benchmarks/through_gateway.py [REPEATS]

`make gallery` makes it too, and keeps what it prints beside the reports. Target: the interval of the ratio contains 1
and is no wider than 5 % either way. Eight repeats take about four minutes on two cores, which should be idle.

The server is the embedded engine with four slots, the design what reports of such workloads recommend: at most four
calls, chat first. Through the gateway the harness has no policy: it sends everything at once.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness
from harness.analysis.statistics import Comparison, compare

ROOT = Path(__file__).parent.parent
REPEATS = 8
MODEL = "smollm2-135m"
WORKLOAD = """
version: 1
name: through-gateway
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      summarise: {agent: {prompt: "Summarise: {item}", output_tokens: 24}, over: documents}
      merge: {agent: {prompt: "Join: {summarise}", output_tokens: 24}, after: [summarise]}
  chat:
    path: interactive
    jobs: 5
    arrival: {every_s: 1}
    nodes: {reply: {agent: {prompt: "Say something short about the weather of today.", output_tokens: 12}}}
inputs: {documents: {synthetic: {count: 8, tokens: 24}}}
servers:
  engine: {kind: ollama, url: "DIRECT", model: MODEL}
  gateway: {kind: ollama, url: "THROUGH/batch", model: MODEL}
  gateway-chat: {kind: ollama, url: "THROUGH/interactive", model: MODEL}
compare:
  inside: {placement: engine, concurrency: window, limit: 4, scheduling: interactive-first}
  through: {placement: {digest: gateway, chat: gateway-chat}, concurrency: unbounded}
measure: {warmup: 1}
seed: 7
"""


def main() -> int:
    """Measure it, print the page, and return 1 where the target was missed."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    found = measured(repeats)
    print(page(found))
    return int(not all(map(hits, found.values())))


def measured(repeats: int = REPEATS) -> dict[str, Comparison]:
    """Return the ratio of the times, through the gateway to inside, of each pipeline."""
    served = ["--model", MODEL, "--slots", "4", "--context-tokens", "1024"]
    policy = ["--slots", "4", "--concurrency", "window", "--scheduling", "interactive-first"]
    with (
        tempfile.TemporaryDirectory() as folder,
        _serving(served) as direct,
        _serving(["--upstream", direct, *policy]) as through,
    ):
        text = WORKLOAD.replace("DIRECT", direct).replace("THROUGH", through).replace("MODEL", MODEL)
        run = harness.measure(text, repeats=repeats, out=folder, progress=True)
        times: dict[tuple[str, str], dict[int, list[float]]] = {}
        whole = {(trial.candidate, trial.repeat) for trial in run.run.trials if trial.complete}
        for job in run.jobs:
            if (job.candidate, job.repeat) not in whole:  # it was interrupted
                continue
            if job.outcome != "ok":
                raise SystemExit(f"{job.pipeline} failed: {job.outcome} {job.error or ''}")
            of_repeat = times.setdefault((job.pipeline, job.candidate), {})
            of_repeat.setdefault(job.repeat, []).append(job.pipeline_time_s)
    found = {}
    for pipeline in ("digest", "chat"):
        means = {
            name: {repeat: sum(each) / len(each) for repeat, each in times[pipeline, name].items()}
            for name in ("through", "inside")
        }
        ratio = compare("through", means["through"], "inside", means["inside"])
        assert ratio is not None
        found[pipeline] = ratio
    return found


def hits(ratio: Comparison) -> bool:
    """Tell whether the target is met."""
    return ratio.low is not None and ratio.high is not None and 0.95 <= ratio.low <= 1 <= ratio.high <= 1.05


def page(found: dict[str, Comparison]) -> str:
    """Return what was found, as Markdown."""
    lines = [
        "# One design, with its policy in the harness and in the gateway",
        "",
        "`make gallery` made this page (`benchmarks/through_gateway.py`). At most four calls at once, chat first, on",
        "the embedded engine with four slots. Target: the interval contains 1 and lies between 0.95 and 1.05.",
        "",
        "| pipeline | time through the gateway / in the harness | 95 % interval | repeats | target |",
        "|---|---|---|---|---|",
    ]
    for name, ratio in found.items():
        interval = "one repeat has none" if ratio.low is None else f"{ratio.low:.3f} to {ratio.high:.3f}"
        met = "met" if hits(ratio) else "missed"
        lines.append(f"| {name} | {ratio.ratio:.3f} | {interval} | {ratio.n} | {met} |")
    return "\n".join(lines) + "\n"


@contextmanager
def _serving(arguments: list[str]) -> Iterator[str]:
    """Run `slotwise serve` on a free port; yield its address."""
    command = [sys.executable, "-u", "-m", "harness", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                words = [word for word in line.split() if "http://" in word]
                if "at it:" in line and words:
                    yield words[0].removeprefix("OLLAMA_HOST=")
                    break
            else:
                raise SystemExit(f"it did not start: slotwise serve {' '.join(arguments)}")
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
