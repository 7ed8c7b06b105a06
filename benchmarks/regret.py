"""How good recommendations are: each is compared with the best of a grid of designs, measured on this machine.

    python benchmarks/regret.py [WORKLOAD...] --profile NAME [--budget 10m] [--confirm 3m] [--json FILE] [--out DIR]

For each workload (default: the six in benchmarks/regret, none of which was used in development):

1. `slotwise recommend` by simulation alone; with --confirm also with a measurement of that length;
2. a grid of designs, all measured, interleaved: 1, 2 and 4 slots, every concurrency policy, two scheduling policies
   where there are both paths, one server or one for each path, and two equal servers where there is one path;
3. for the rest of the budget, the best of the grid and the recommended design again, head to head on fresh draws,
   because the smallest of many noisy numbers looks better than it is.

On each path (pipeline time of batch work, median reply of interactive work) a recommendation is `within 5 %` if the
whole interval of its time over that of the best is below 1.05. It has `regret` if the whole interval is above, and is
`unresolved` otherwise. Beside it is what the recommendation had said about itself. Where goals decide between the
paths, one more row asks for the fastest batch work among the designs of the grid that meet them. Results are kept in
--out, workload by workload, and existing ones are not measured again (--again does it). Needs an idle machine and a
profile of it with 1, 2 and 4 slots.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.regret_grid import GRID_SLOTS, GridOver, best_of, grid, space_of, wanted
from harness.analysis.analyse import analyse
from harness.analysis.measures import index_records, summarise
from harness.analysis.model import Analysis, CandidateSummary
from harness.analysis.statistics import EQUIVALENCE, Comparison, compare
from harness.analysis.verdict import path_standings
from harness.app.measuring import measure_into_folder
from harness.app.options import RunOptions
from harness.app.recommend import confirm
from harness.core.records import Path as JobPath
from harness.errors import SlotwiseError, UserError
from harness.measure.progress import Progress
from harness.measure.until import Until
from harness.predict.servers import Profiles
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.recommend.answer import Recommended, recommend
from harness.recommend.constraints import memory_of
from harness.recommend.evaluate import Problem
from harness.recommend.space import Candidate, Space, design_space
from harness.recommend.workers import in_process, on_cores
from harness.report.progress import progress_for
from harness.runs.folder import read_run
from harness.servers.machine import cores
from harness.units import count, read_seconds, seconds
from harness.workload.load import Loaded, load_workload

WORKLOADS = Path(__file__).parent / "regret"
GRID_SHARE = 0.45  # of the budget; the rest is for the comparison head to head
GRID_REPEATS = 3
REPEATS = 30  # head to head, at most
FRESH = 1_000_003  # added to the seed: draws that nobody has chosen anything by

# Measures a workload into a new folder: harness.app.measuring.measure_into_folder, or what stands for it in a test.
Measure = Callable[[Loaded, Progress, Callable[[Path], bool]], Path]


class Row(NamedTuple):
    """One path of one workload. Ratios: the recommended design's time over that of the grid's best, head to head."""

    workload: str
    what: str  # batch, interactive, or batch under the goals
    by: str  # prediction or confirmation
    said: str  # of it by the recommendation: clear, equivalent, unresolved, or chosen by goals
    recommended: str
    best: str
    ratio: float
    low: float | None
    high: float | None
    repeats: int
    verdict: str

    @property
    def regret(self) -> float:
        """What is lost by the recommendation, as a share; nothing where it is the better one."""
        return max(0.0, self.ratio - 1)


class Duel(NamedTuple):
    """A recommended design against the best of the grid on one path."""

    what: str
    path: JobPath
    by: str
    said: str
    recommended: str
    best: str


def duels(found: Recommended, confirmed: Analysis | None, measured: Analysis) -> Iterator[Duel]:
    """Yield whom to compare with whom: on each path, and where goals decide among those that meet them."""
    answers = [("prediction", found.recommendation.analysis)]
    if confirmed is not None:
        answers.append(("confirmation", confirmed))
    for by, analysis in answers:
        for verdict in analysis.paths:
            best = best_of(measured, verdict.path)
            if verdict.chosen and best:
                yield Duel(verdict.path, verdict.path, by, verdict.standing, verdict.chosen, best)
        best = best_of(measured, "batch", goals=True)
        if analysis.choice.kind == "goals" and analysis.choice.candidate and best:
            yield Duel("batch under goals", "batch", by, "goals", analysis.choice.candidate, best)


def ratio_of(duel: Duel, summaries: Sequence[CandidateSummary], share: int) -> Comparison | None:
    """Compare the two, with the error shared among the comparisons."""
    values = path_standings(duel.path, summaries).values
    return compare(duel.recommended, values[duel.recommended], duel.best, values[duel.best], share)


def verdict_of(found: Comparison | None) -> str:
    """Say what a ratio and its interval mean."""
    if found is None or found.low is None or found.high is None:
        return "unresolved"
    if found.high <= EQUIVALENCE:
        return "within 5 %"
    return f"regret {found.ratio - 1:.0%}" if found.low > EQUIVALENCE else "unresolved"


def really(out: Path) -> Measure:
    """Return what measures on real servers, with its run folders in `out`."""

    def measure(loaded: Loaded, progress: Progress, enough: Callable[[Path], bool]) -> Path:
        ended = measure_into_folder(loaded, RunOptions(out=out), progress, enough, resumable=False)
        if ended.failure is not None:
            raise ended.failure
        if ended.interrupted:
            raise KeyboardInterrupt
        return ended.folder

    return measure


def time_s(text: str) -> float:
    """Read a time such as 90s, 5m or 1h; UserError where it is none."""
    found = read_seconds(text)
    if found is None:
        raise UserError(f'--budget, --confirm: expected a time such as 90s, 5m or 1h, found "{text}"')
    return found


def recommended(space: Space, profile: Profile, progress: Progress, workers: int) -> Recommended:
    """Search the whole space by simulation: only settings that the profile was calibrated for."""
    like = space.loaded.servers[space.candidates[0].plan.queues[0].server]
    memory = memory_of(like, profile)
    problem = Problem(space.loaded, Profiles(profile))
    if workers == 1:
        return recommend(space, problem, profile, in_process(problem), progress, memory=memory)
    with on_cores(problem, workers) as evaluate:
        return recommend(space, problem, profile, evaluate, progress, memory=memory)


def regret(
    path: Path,
    profile: Profile,
    progress: Progress,
    *,
    budget_s: float,
    measure: Measure,
    confirm_by: Callable[[Recommended], Analysis | None] = lambda found: None,
    workers: int = 1,
    repeats: int = GRID_REPEATS,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Recommend, measure the grid, compare head to head; return what is written down of it."""
    loaded = load_workload(path)
    found = recommended(design_space(loaded, profile, max_slots=GRID_SLOTS), profile, progress, workers)
    confirmed = confirm_by(found)
    began_s = clock()
    everything = space_of(path, profile)
    designs = grid(everything)
    about_s = sum(trial.makespan_s for trial in _foreseen(everything, designs, profile))
    progress.say(
        f"grid: {count(len(designs), 'design')}, about {seconds(about_s)} for a repeat of all by the prediction, "
        f"at most {count(repeats, 'repeat')} in {seconds(GRID_SHARE * budget_s)}"
    )
    folder = measure(wanted(everything.loaded, designs, repeats, 0), progress, GridOver(GRID_SHARE * budget_s, clock))
    measured = analyse(read_run(folder))
    todo = list(duels(found, confirmed, measured))
    rows = {duel: _same(path.stem, duel) for duel in todo if duel.recommended == duel.best}
    open_ = [duel for duel in todo if duel not in rows]
    fresh_folder = None
    if open_:
        fresh = space_of(path, profile, FRESH)
        names = list(dict.fromkeys(name for duel in open_ for name in (duel.recommended, duel.best)))
        progress.say(f"head to head on fresh draws: {', '.join(names)}")
        comparisons = len({(duel.path, duel.recommended, duel.best) for duel in open_})
        left_s = max(0.0, budget_s - (clock() - began_s))
        # Nobody looks on the way: an interval that is looked at once is the narrowest, and it is all the time there is.
        until = Until(left_s, clock, least=2, questions=None)
        fresh_folder = measure(wanted(fresh.loaded, [fresh.find(name) for name in names], REPEATS, 0), progress, until)
        run = read_run(fresh_folder)
        summaries = summarise(run, index_records(run))
        for duel in open_:
            ratio = ratio_of(duel, summaries, comparisons)
            rows[duel] = _compared(path.stem, duel, ratio)
    return {
        "workload": path.stem,
        "profile": profile.name,
        "machine": profile.machine,
        "origin": measured.run.origin,
        "rows": [row._asdict() | {"regret": row.regret} for row in (rows[duel] for duel in todo)],
        "grid": {
            candidate.name: {s.pipeline: s.time.value for s in candidate.pipelines if s.time}
            for candidate in measured.candidates
        },
        "grid_repeats": measured.run.repeats,
        "folders": {"grid": str(folder), "head to head": str(fresh_folder) if fresh_folder else None},
        "took_s": round(clock() - began_s, 1),
    }


def _foreseen(space: Space, designs: Sequence[Candidate], profile: Profile) -> Sequence[Any]:
    loaded = wanted(space.loaded, designs, 1, 0)
    return predict(loaded, profile, repeats=1, extrapolate=True).run.trials


def _same(workload: str, duel: Duel) -> Row:
    return Row(workload, *_of(duel), 1.0, 1.0, 1.0, 0, "within 5 %")


def _compared(workload: str, duel: Duel, found: Comparison | None) -> Row:
    if found is None:
        return Row(workload, *_of(duel), math.inf, None, None, 0, "unresolved")
    return Row(workload, *_of(duel), found.ratio, found.low, found.high, found.n, verdict_of(found))


def _of(duel: Duel) -> tuple[str, str, str, str, str]:
    return duel.what, duel.by, duel.said, duel.recommended, duel.best


def show(results: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a row for each path of each workload."""
    table = Table(title="Recommended against the best of the measured grid, head to head")
    for name in ("workload", "path", "by", "said", "recommended", "best of the grid"):
        table.add_column(name, overflow="fold")
    for name in ("ratio", "repeats", "verdict"):
        table.add_column(name, justify="right")
    for result in results:
        for row in result["rows"]:
            same = row["recommended"] == row["best"]
            interval = "" if row["low"] is None or same else f" ({row['low']:.2f} to {row['high']:.2f})"
            table.add_row(
                *(row[key] for key in ("workload", "what", "by", "said", "recommended")),
                "the same" if same else row["best"],
                f"{row['ratio']:.3f}{interval}",
                "-" if same else str(row["repeats"]),
                row["verdict"],
            )
    console.print(table)
    verdicts = Counter(row["verdict"].split()[0] for result in results for row in result["rows"])
    rows = [row for result in results for row in result["rows"] if row["verdict"].startswith("regret")]
    declared = sum(row["said"] == "unresolved" for row in rows)
    console.print(
        ", ".join(f"{verdicts[name]} {name}" for name in ("within", "unresolved", "regret"))
        + f"; of those with regret {declared} had been declared unresolved, and the simplest taken"
    )


def kept_in(out: Path, stem: str, profile: Profile) -> dict[str, Any] | None:
    """Return what is known of a workload on this profile from an earlier call."""
    try:
        found = json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("profile") == profile.name else None


def main() -> None:
    """Go through the workloads."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workloads", nargs="*", type=Path, default=sorted(WORKLOADS.glob("*.yaml")))
    parser.add_argument("--profile", required=True)
    parser.add_argument("--budget", default="10m", help="for each workload, without --confirm")
    parser.add_argument(
        "--confirm", help="also confirm each recommendation by a measurement of this length, such as 3m"
    )
    parser.add_argument("--repeats", type=int, default=GRID_REPEATS, help="of the grid, at most")
    parser.add_argument("--out", type=Path, default=Path("reports") / "regret")
    parser.add_argument("--json", type=Path, help="write everything into this file")
    parser.add_argument("--again", action="store_true", help="also measure what --out has already")
    arguments = parser.parse_args()
    results = []
    try:
        budget_s = time_s(arguments.budget)
        confirm_s = time_s(arguments.confirm) if arguments.confirm else None
        profile = load_profile(arguments.profile)
        arguments.out.mkdir(parents=True, exist_ok=True)
        with progress_for(sys.stderr) as progress:
            for number, path in enumerate(arguments.workloads, start=1):
                progress.say(f"{path.stem}: workload {number} of {len(arguments.workloads)}")
                result = None if arguments.again else kept_in(arguments.out, path.stem, profile)
                if result is None:

                    def confirm_by(found: Recommended) -> Analysis | None:
                        if confirm_s is None:
                            return None
                        like = next(iter(found.space.loaded.servers.values()))
                        memory = memory_of(like, profile)
                        made = confirm(found, memory, confirm_s, RunOptions(out=arguments.out), progress)
                        progress.expect({})  # what comes is something else
                        return made.confirmation.analysis if made.confirmation else None

                    result = regret(
                        path,
                        profile,
                        progress,
                        budget_s=budget_s,
                        measure=really(arguments.out),
                        confirm_by=confirm_by,
                        workers=cores(),
                        repeats=arguments.repeats,
                    )
                    (arguments.out / f"{path.stem}.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
                else:
                    progress.say(f"{path.stem}: taken from {arguments.out} (--again measures it again)")
                results.append(result)
    except SlotwiseError as error:
        print(f"regret: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted: what is whole is kept, and not done again", file=sys.stderr)
    if results:
        show(results, Console(width=140))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
