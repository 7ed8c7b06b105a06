"""The gallery: real reports of the shipped workloads, below reports/gallery/, and an index page made from them.

    make gallery                                          measures; an idle machine, about half an hour on two cores
    python benchmarks/gallery.py --profile epyc-2core --out /somewhere     predicts instead, in a minute or two
    python benchmarks/gallery.py --index                  writes the index page again

Existing reports are skipped, interrupted ones continue, and a workload that fails does not stop the others. The runs
themselves, with every call, are made in reports/gallery-runs/, which git ignores. The gallery keeps the small files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.analysis.model import Analysis
from harness.report.summary import read_analysis
from harness.report.text import markdown
from harness.units import count, size
from harness.wording.run_answer import run_answer

ROOT = Path(__file__).parent.parent
KEPT = ("report.md", "report.html", "summary.json", "workload.yaml", "inputs/*/*", "charts/*.svg")

# Repeats of each, the most informative workload first. Probing has warmed the servers up, so there is no warm-up.
REPEATS = {
    "research-digest": 5,
    "concurrency-ladder": 3,
    "chat-only": 8,
    "review-panel": 3,
    "long-chat": 3,
    "thinking-chat": 3,
    "bulk-classify": 3,
    "map-reduce": 3,
    "best-of-three": 3,
    "reflection-loop": 3,
    "planner-executor": 3,
    "retrieval": 3,
    "router": 3,
    "rush-hour": 3,
    "supersteps": 3,
    "two-model-cascade": 3,
    "sub-agents": 3,
    "two-handbooks": 3,
    "rag": 3,
}
GATEWAY = "gateway"  # no workload: one design with its policy in the harness and in the gateway (through_gateway.py)


def main() -> int:
    """Make what is missing, write the index, and return 1 if a workload failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads; default: all that are shipped")
    parser.add_argument("--out", type=Path, default=Path("reports/gallery"), help="folder of the gallery")
    parser.add_argument("--profile", help="predict on this profile instead of measuring")
    parser.add_argument("--index", action="store_true", help="only write the index page")
    asked = parser.parse_args()
    os.chdir(ROOT)  # a command in a report names files as they lie here
    unknown = [name for name in asked.names if name not in (*REPEATS, GATEWAY)]
    if unknown:
        parser.error(f"no such workload: {', '.join(unknown)}; there is: {', '.join((*REPEATS, GATEWAY))}")
    if asked.profile and asked.out == parser.get_default("out"):
        parser.error("the gallery is measured: name another folder with --out for predictions")
    failed = []
    for name in () if asked.index else asked.names or (*REPEATS, GATEWAY):
        if (asked.out / name / "summary.json").exists() or (asked.out / f"{name}.md").exists():
            print(f"{name}: there already", flush=True)
        elif name == GATEWAY:
            if not asked.profile and not _make_gateway(asked.out):
                failed.append(name)
        elif not _make(name, asked.out, asked.profile):
            failed.append(name)
        write_index(asked.out)
    path = write_index(asked.out)
    total = sum(file.stat().st_size for file in asked.out.rglob("*") if file.is_file())
    print(f"{path}: {count(len(entries(asked.out)), 'report')}, {size(total)}")
    if failed:
        print(f"failed, the others are there: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _make(name: str, out: Path, profile: str | None) -> bool:
    """Run one workload and keep its small files."""
    if name == "two-model-cascade" and (profile or shutil.which("ollama") is None):
        print(f"{name}: left out, it needs an ollama on the PATH", flush=True)
        return True
    runs = out.parent / f"{out.name}-runs" / name
    begun = sorted(runs.glob(f"{name}-*/environment.json"))
    file, often = f"workloads/{name}.yaml", str(REPEATS[name])
    if profile:
        shutil.rmtree(runs, ignore_errors=True)
        arguments = ["simulate", file, "--profile", profile, "--extrapolate", "--repeats", often, "--out", str(runs)]
    elif begun:
        arguments = ["run", "--resume", str(begun[-1].parent)]
    else:
        arguments = ["run", file, "--repeats", often, "--warmup", "0", "--out", str(runs)]
    print(f"{name}: slotwise {' '.join(arguments)}", flush=True)
    # Not with --json, and not quiet: it takes half an hour, so it shows how far it is.
    done = subprocess.run([sys.executable, "-m", "harness", *arguments], stdout=subprocess.DEVNULL, check=False)
    made = sorted(runs.glob(f"{name}-*/summary.json"))
    if done.returncode or not made:
        print(f"{name}: exit code {done.returncode}", file=sys.stderr, flush=True)
        return False
    _keep(made[-1].parent, out / name)
    return True


def _make_gateway(out: Path) -> bool:
    """Measure one design with its policy in the harness and in the gateway, and keep the page."""
    program = Path(__file__).with_name("through_gateway.py")
    print(f"{GATEWAY}: {program.relative_to(ROOT)}", flush=True)
    done = subprocess.run([sys.executable, str(program)], stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        print(f"{GATEWAY}: exit code {done.returncode}", file=sys.stderr, flush=True)
        return False
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{GATEWAY}.md").write_text(done.stdout, encoding="utf-8")
    return True


def _keep(run: Path, folder: Path) -> None:
    """Copy what the gallery keeps. The summary comes last, because its presence means that everything is there."""
    files = [file for pattern in KEPT for file in sorted(run.glob(pattern))]
    for file in sorted(files, key=lambda file: file.name == "summary.json"):
        target = folder / file.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def entries(out: Path) -> list[tuple[str, Analysis]]:
    """Return the existing reports, in the gallery's order."""
    found = [(name, out / name / "summary.json") for name in REPEATS]
    return [(name, read_analysis(path.read_bytes(), str(path))) for name, path in found if path.exists()]


def write_index(out: Path) -> Path:
    """Write the index page from the summaries, and return its path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "README.md"
    path.write_text(index_page(entries(out)), encoding="utf-8")
    return path


def index_page(found: Sequence[tuple[str, Analysis]]) -> str:
    """Return the index page: a row for each report with its question, its answer and the answer's numbers."""
    return "\n".join(_lines(found))


def _lines(found: Sequence[tuple[str, Analysis]]) -> Iterator[str]:
    yield "# Reports of the shipped workloads"
    yield ""
    yield "`make gallery` made these reports and this page. Nothing here was written or edited by hand. The results"
    yield "hold for one machine and its models; run the workloads on your machine. `report.html` is one file: download"
    yield "and open it. Only the small files of each run are kept here."
    yield ""
    yield "| workload | question | answer | numbers | measured on |"
    yield "|---|---|---|---|---|"
    for name, analysis in found:
        answer = run_answer(analysis)
        columns, rows = answer.table.columns if answer.table else (), answer.table.rows if answer.table else ()
        numbers = "<br>".join(
            f"{markdown(' '.join(column))}: **{markdown(cell)}**"
            for row in rows[:1]
            for column, cell in zip(columns, row.cells, strict=True)
            if cell != "-"  # not known in an older run
        )
        links = f"[report]({name}/report.md), [page]({name}/report.html), [data]({name}/summary.json)"
        cells = (f"**{name}**<br>{links}", question(name), markdown(answer.headline), numbers, _where(analysis))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _where(analysis: Analysis) -> str:
    run = analysis.run
    machine = dict(run.machine)
    engines = dict.fromkeys(f"{server.kind} {server.version}".strip() for server in run.servers)
    models = dict.fromkeys(server.model for server in run.servers)
    facts = [str(machine[key]) + (" cores" if key == "cores" else "") for key in ("cpu", "cores") if key in machine]
    parts = (run.origin, ", ".join(facts), ", ".join(engines), ", ".join(models), run.started_at[:10])
    return "<br>".join(markdown(part) for part in parts if part)


def question(name: str) -> str:
    """Return the question of a shipped workload, from its first comment."""
    text = (ROOT / "workloads" / f"{name}.yaml").read_text(encoding="utf-8")
    comment = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    asked = comment.partition("The question: ")[2].rpartition("?")[0]
    return f"{asked[:1].upper()}{asked[1:]}?"


if __name__ == "__main__":
    sys.exit(main())
