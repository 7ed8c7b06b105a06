"""How far predictions are from real runs: every workload and candidate, beside the measurement's noise.

    python benchmarks/fidelity.py PROFILE [WORKLOAD...] [--repeats N] [--engine ollama --model NAME]

Targets: median error of pipeline times at most 7 %, worst 20 %; interactive medians within 15 %; ratios
between candidates within 5 %. Run it on an idle machine, on a profile that was not fitted to these workloads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

WORKLOADS = Path(__file__).parent.parent / "workloads"
DEFAULT = ("research-digest", "review-panel", "bulk-classify", "chat-only")


def score(workload: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run `slotwise score` on one workload and return its JSON."""
    command = [sys.executable, "-m", "harness", "score", str(workload), "--profile", arguments.profile, "--json"]
    for option in ("repeats", "engine", "model"):
        if value := getattr(arguments, option):
            command += [f"--{option}", str(value)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profile")
    parser.add_argument("workloads", nargs="*", type=Path, default=[WORKLOADS / f"{name}.yaml" for name in DEFAULT])
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--engine", help="instead of the workloads' own")
    parser.add_argument("--model", help="with --engine")
    arguments = parser.parse_args()
    table = Table(title=f"Predicted on {arguments.profile} against measured")
    for column in ("workload", "candidate", "pipeline", "figure"):
        table.add_column(column)
    for column in ("predicted", "measured", "error", "noise"):
        table.add_column(column, justify="right")
    errors: dict[str, list[float]] = {}
    ratios: list[float] = []
    for workload in arguments.workloads:
        found = score(workload, arguments)
        for row in found["rows"]:
            errors.setdefault(row["figure"], []).append(abs(row["error"]))
            noise = "-" if row["noise"] is None else f"±{row['noise']:.1%}"
            table.add_row(
                workload.stem,
                row["candidate"],
                row["pipeline"],
                row["figure"],
                f"{row['predicted']:.3f}",
                f"{row['measured']:.3f}",
                f"{row['error']:+.1%}",
                noise,
            )
        ratios += [abs(ratio["error"]) for ratio in found["ratios"]]
    console = Console(width=120)
    console.print(table)
    for figure, values in errors.items():
        console.print(f"{figure}: median error {median(values):.1%}, worst {max(values):.1%}, {len(values)} cells")
    if ratios:
        console.print(f"ratios between candidates: median error {median(ratios):.1%}, worst {max(ratios):.1%}")


if __name__ == "__main__":
    main()
