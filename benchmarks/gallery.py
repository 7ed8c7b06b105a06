"""The gallery: real reports of the shipped workloads, below reports/gallery/, and an index page made from them.

    make gallery                                measures; an idle machine, about an hour on two cores
    python benchmarks/gallery.py --pilot        measures each three times, to find how far repeats spread
    python benchmarks/gallery.py --fix          writes from the pilots how often each is measured, before it is
    python benchmarks/gallery.py --elsewhere    predicts them on the machines of gallery_machines.py
    python benchmarks/gallery.py --index        writes the index page and its charts again
    python benchmarks/gallery.py --profile epyc-2core --out /somewhere     predicts the whole gallery instead

Existing reports are skipped, interrupted ones continue, and a workload that fails does not stop the others. The runs
themselves are made in reports/gallery-runs/, which git ignores. The gallery keeps what `slotwise report` and `compare`
need: its small files as they are, its records packed.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.gallery_machines import HERE, MACHINES, predicted, read_predictions, write_predictions
from benchmarks.gallery_page import ORDER, entries, write_index
from benchmarks.gallery_repeats import LEAST, fix, read_fixed, write_fixed
from harness.analysis.deciding import growth_of
from harness.analysis.details import details
from harness.analysis.facts import BusyMachine
from harness.app.report import report
from harness.report.summary import read_analysis
from harness.units import count, size

ROOT = Path(__file__).parent.parent
KEPT = ("report.md", "report.html", "summary.json", "workload.yaml", "environment.json", "inputs/*/*", "charts/*.svg")
PACKED = ("calls.jsonl", "jobs.jsonl", "delays.jsonl", "slots.jsonl", "trials.jsonl")
PILOT_REPEATS = 3
MOST_DISTURBED = 0.5  # cores that other programs may use during a trial; a run with more is measured again
GATEWAY = "gateway"  # no workload: one design with its policy in the harness and in the gateway (through_gateway.py)


def main() -> int:
    """Do what is asked for, write the index, and return 1 if a workload failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads; default: all that are shipped")
    parser.add_argument("--out", type=Path, default=Path("reports/gallery"), help="folder of the gallery")
    parser.add_argument("--profile", help="predict on this profile instead of measuring")
    for name, what in (
        ("pilot", "measure a few repeats that are no part of the gallery"),
        ("fix", "write how often each is measured, from the pilots"),
        ("elsewhere", "predict on other machines"),
        ("index", "only write the index page"),
    ):
        parser.add_argument(f"--{name}", action="store_true", help=what)
    asked = parser.parse_args()
    os.chdir(ROOT)  # a command in a report names files as they lie here
    unknown = [name for name in asked.names if name not in (*ORDER, GATEWAY)]
    if unknown:
        parser.error(f"no such workload: {', '.join(unknown)}; there is: {', '.join((*ORDER, GATEWAY))}")
    if asked.profile and asked.out == parser.get_default("out"):
        parser.error("the gallery is measured: name another folder with --out for predictions")
    names, failed = asked.names or [*ORDER, GATEWAY], []
    if asked.pilot:
        failed = [name for name in names if name != GATEWAY and not _pilot(name, asked.out)]
    elif asked.fix:
        _fix(names, asked.out)
    elif asked.elsewhere:
        _elsewhere(names, asked.out)
    elif not asked.index:
        for name in names:
            if not _make(name, asked.out, asked.profile):
                failed.append(name)
            write_index(asked.out)
    path = write_index(asked.out)
    total = sum(file.stat().st_size for file in asked.out.rglob("*") if file.is_file())
    print(f"{path}: {count(len(entries(asked.out)), 'report')}, {size(total)}")
    if failed:
        print(f"failed, the others are there: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


# --- runs -------------------------------------------------------------------------------------------------------------


def _make(name: str, out: Path, profile: str | None) -> bool:
    """Run one workload and keep its small files, if it is not there already."""
    if (out / name / "environment.json").exists() or (out / f"{name}.md").exists():
        print(f"{name}: there already", flush=True)
        return True
    if name == GATEWAY:
        return bool(profile) or _make_gateway(out)
    if name in ("two-model-cascade", "rag") and (profile or shutil.which("ollama") is None):
        print(f"{name}: left out, it needs an ollama on the PATH", flush=True)
        return True
    if name == "thinking-chat" and not profile:
        print(f"{name}: left out, no built-in model thinks", flush=True)
        return True
    runs = out.parent / f"{out.name}-runs" / name
    fixed = read_fixed(out / "repeats.yaml").get(name)
    often = str(fixed.repeats if fixed else LEAST)
    only = [argument for candidate in (fixed.only if fixed else ()) for argument in ("--only", candidate)]
    begun = sorted(runs.glob(f"{name}-*/environment.json"))
    file = f"workloads/{name}.yaml"
    if profile:
        shutil.rmtree(runs, ignore_errors=True)
        arguments = ["simulate", file, "--profile", profile, "--extrapolate", "--repeats", often, "--out", str(runs)]
    elif begun:
        arguments = ["run", "--resume", str(begun[-1].parent)]
    else:  # probing has warmed the servers up
        arguments = ["run", file, *only, "--repeats", often, "--warmup", "0", "--out", str(runs)]
    made = _run(name, arguments, runs)
    if made is None:
        return False
    if (cores := _disturbed(made)) > MOST_DISTURBED:
        print(f"{name}: other programs used {cores:.1f} cores meanwhile, so it does not count; measure it again")
        shutil.rmtree(made)
        return False
    _keep(made, out / name)
    return True


def _disturbed(run: Path) -> float:
    """Return how many cores other programs used during a trial, at most."""
    notices = report(run).analysis.notices
    return max((notice.cores for notice in notices if isinstance(notice, BusyMachine)), default=0.0)


def _pilot(name: str, out: Path) -> bool:
    """Measure a workload a few times; nothing of it comes into the gallery but how far repeats spread."""
    runs = _pilots(out) / name
    if _latest(runs, name) is not None:
        print(f"{name}: there already", flush=True)
        return True
    often = ["--repeats", str(PILOT_REPEATS), "--warmup", "0"]
    return _run(name, ["run", f"workloads/{name}.yaml", *often, "--out", str(runs)], runs) is not None


def _run(name: str, arguments: Sequence[str], runs: Path) -> Path | None:
    """Run Slotwise; return the folder of the finished run, or None."""
    print(f"{name}: slotwise {shlex.join(arguments)}", flush=True)
    # Not with --json, and not quiet: it takes minutes, so it shows how far it is.
    done = subprocess.run([sys.executable, "-m", "harness", *arguments], stdout=subprocess.DEVNULL, check=False)
    made = _latest(runs, name)
    if done.returncode or made is None:
        print(f"{name}: exit code {done.returncode}", file=sys.stderr, flush=True)
        return None
    return made


def _latest(runs: Path, name: str) -> Path | None:
    """Return the folder of the latest run of a workload that has a report."""
    made = sorted(runs.glob(f"{name}-*/summary.json"))
    return made[-1].parent if made else None


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
    """Copy what the gallery keeps in place of what it kept before. The header comes last: with it all is there."""
    shutil.rmtree(folder, ignore_errors=True)
    files = [file for pattern in KEPT for file in sorted(run.glob(pattern))]
    for name in PACKED:
        if (run / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            packed = gzip.compress((run / name).read_bytes(), mtime=0)  # the same bytes each time
            (folder / f"{name}.gz").write_bytes(packed)
    for file in sorted(files, key=lambda file: file.name == "environment.json"):
        target = folder / file.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


# --- how often, and elsewhere -----------------------------------------------------------------------------------------


def _pilots(out: Path) -> Path:
    return out.parent / f"{out.name}-pilots"


def _fix(names: Sequence[str], out: Path) -> None:
    """Write how often each workload is measured, from its pilot, else from what the gallery has of before."""
    path = out / "repeats.yaml"
    fixed = read_fixed(path)
    for name in (name for name in ORDER if name in names):
        run = _latest(_pilots(out) / name, name)
        if run is not None:
            read, analysis = report(run)
            fixed[name] = fix(analysis, growth_of(analysis, details(read, analysis).arriving))
        elif (old := out / name / "summary.json").exists():
            fixed[name] = fix(read_analysis(old.read_bytes(), str(old)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_fixed(path, {name: fixed[name] for name in ORDER if name in fixed})


def _elsewhere(names: Sequence[str], out: Path) -> None:
    """Predict workloads on the other machines, and where a rate climbs also on this one."""
    path = out / "elsewhere.json"
    found = read_predictions(path)
    for name in (name for name in ORDER if name in names):
        file = Path("workloads") / f"{name}.yaml"
        machines = (*MACHINES, *((HERE,) if "ramp:" in file.read_text(encoding="utf-8") else ()))
        print(f"{name}: on {', '.join(machine.name for machine in machines)}", flush=True)
        found[name] = tuple(predicted(file, machine) for machine in machines)
        write_predictions(path, {name: found[name] for name in ORDER if name in found})


if __name__ == "__main__":
    sys.exit(main())
