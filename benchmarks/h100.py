"""How far a profile is from runs on a real Ollama on a GPU: every candidate of every run, lengths as observed.

    python benchmarks/h100.py FOLDER [--profile NAME]

FOLDER/runs holds folders of `slotwise run`. A run whose folder ends with `-no-ram-cache` was made with
LLAMA_ARG_CACHE_RAM=0. Candidates that the profile cannot predict (two servers on one GPU) are left out and named.
It prints; it asserts nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from harness.analysis.analyse import analyse
from harness.core.levers import AS_MADE, Levers
from harness.predict.score import Score, replay, score
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.runs.folder import read_run
from harness.workload.load import Loaded, load_workload
from harness.workload.migrate import rewrite

ROOT = Path(__file__).parent.parent
FIGURES = {"pipeline time": "time", "reply p50": "time", "first token": "first token", "queue wait": "queue wait"}


def loaded_from(folder: Path) -> Loaded:
    """Load the workload that a run wrote down, with today's names, beside the texts that it needs."""
    text = rewrite((folder / "workload.yaml").read_text(encoding="utf-8"), folder.name).text
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=ROOT / "workloads", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return load_workload(Path(file.name))


def scored(folder: Path, profile: Profile) -> tuple[Score, list[str]]:
    """Predict a run again; return the errors, and which candidates cannot be predicted."""
    run, loaded = read_run(folder), loaded_from(folder)
    levers = Levers(ram_cache=False) if folder.name.endswith("-no-ram-cache") else AS_MADE
    repeats = max(trial.repeat for trial in run.trials) + 1
    made = predict(loaded, profile, repeats=repeats, tokens_of=replay(run, loaded.pipelines), levers=levers)
    return score(analyse(run), analyse(made.run), run, made.run), sorted(made.refused)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", default="h100-8b")
    arguments = parser.parse_args()
    profile = load_profile(arguments.profile, ROOT / "workloads" / "x.yaml")
    console = Console(width=120)
    table = Table(title=f"Predicted on {profile.name} against measured")
    for column in ("run", "candidate", "pipeline", "figure"):
        table.add_column(column)
    for column in ("predicted", "measured", "error"):
        table.add_column(column, justify="right")
    errors: dict[str, list[float]] = {}
    for folder in sorted((arguments.folder / "runs").iterdir()):
        found, refused = scored(folder, profile)
        for row in found.rows:
            if row.figure in FIGURES:
                errors.setdefault(FIGURES[row.figure], []).append(abs(row.error))
                numbers = (f"{row.predicted:.3f}", f"{row.measured:.3f}", f"{row.error:+.1%}")
                table.add_row(folder.name, row.candidate, row.pipeline, row.figure, *numbers)
        errors.setdefault("ratio", []).extend(abs(error) for *_, error in found.ratio_errors)
        if refused:
            console.print(f"{folder.name}: not predicted: {', '.join(refused)}")
    console.print(table)
    for figure, values in errors.items():
        console.print(f"{figure}: median error {median(values):.1%}, worst {max(values):.1%}, {len(values)} cells")


if __name__ == "__main__":
    main()
