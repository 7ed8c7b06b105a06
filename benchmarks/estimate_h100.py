"""How good an estimate of the H100 SXM5 is by its data sheet, with and without the published rows of its PCIe sister.

    python benchmarks/estimate_h100.py [FOLDER]

The model is the one that `h100-8b` was calibrated with. Steps are compared with that profile; with FOLDER (as
benchmarks/h100.py wants it) the times of its runs of research-digest and review-panel, too. No figure of either is in
the fit. It prints; it asserts nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.estimate_figures import read_figures
from benchmarks.fit_estimates import fit
from benchmarks.h100 import loaded_from
from harness.analysis.analyse import analyse
from harness.estimate.devices import find_device
from harness.estimate.estimate import estimate_profile
from harness.estimate.models import ModelShape
from harness.predict.score import replay, score
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.runs.folder import read_run

ROOT = Path(__file__).parent.parent
MEASURED = "h100-8b"
BIG = ModelShape("big", 7.38e9, 7.38e9, 32, 4096, 32, 8, 128, 14336, 32000, 0, 0, "q4_0", "the header of its file")
RUNS = ("research-digest", "review-panel")


def estimates() -> dict[str, Profile]:
    """Return the estimated profiles, on all published rows and without those of the H100 PCIe."""
    device, figures = find_device("H100 SXM 80GB"), read_figures(ROOT / "benchmarks" / "hardware")
    without = [one for one in figures if not one.device.name.startswith("H100")]
    size = load_profile(MEASURED, ROOT / "workloads" / "x.yaml").memory.model_bytes
    assert size is not None
    return {
        name: estimate_profile(
            device, BIG, "q4_0", slots=(1, 4, 8), name=name, file_bytes=size, context_tokens=2048,
            by=fit(these).constants(device, "q4_0"),
        )
        for name, these in (("with the PCIe rows", figures), ("without them", without))
    }  # fmt: skip


def steps(profile: Profile) -> Iterable[str]:
    """Return lines: steps by how many calls get a token, and other costs, beside those that were measured."""
    known = load_profile(MEASURED, ROOT / "workloads" / "x.yaml")
    setting, own = known.slots["8"], profile.slots["8"]
    for n in ("1", "2", "3", "4", "6", "8"):
        seen = known.slots["4"].step_s.get(n) or setting.step_s[n]
        value = own.step_s[n]
        yield f"step of {n}: {1e3 * value:.2f} ms, measured {1e3 * seen:.2f} ms ({value / seen - 1:+.0%})"
    for key in ("prompt_step_s", "prefill_s_per_token", "save_s_per_token"):
        value, seen = getattr(own, key), getattr(setting, key)
        yield f"{key}: {1e6 * value:.0f} us, measured {1e6 * seen:.0f} us ({value / seen - 1:+.0%})"


def times(folder: Path, profile: Profile) -> Iterable[str]:
    """Return lines: pipeline times of a run's candidates, lengths as observed, and which candidate is recommended."""
    run, loaded = read_run(folder), loaded_from(folder)
    repeats = max(trial.repeat for trial in run.trials) + 1
    made = predict(loaded, profile, repeats=repeats, tokens_of=replay(run, loaded.pipelines))
    measured, predicted = analyse(run), analyse(made.run)
    for row in score(measured, predicted, run, made.run).rows:
        if row.figure == "pipeline time":
            seconds = f"{row.predicted:.2f} s, measured {row.measured:.2f} s ({row.error:+.0%})"
            yield f"{row.candidate}, {row.pipeline}: {seconds}"
    known = predict(loaded, load_profile(MEASURED, ROOT / "workloads" / "x.yaml"), repeats=repeats,
                    tokens_of=replay(run, loaded.pipelines))  # fmt: skip
    chosen = [one.choice.candidate for one in (predicted, analyse(known.run), measured)]
    yield "recommended: {}, on {}: {}, measured: {}".format(chosen[0], MEASURED, *chosen[1:])
    yield f"not predicted: {', '.join(sorted(made.refused)) or 'none'}"


def main(arguments: list[str]) -> None:
    for name, profile in estimates().items():
        print(f"\n{name}")
        for line in steps(profile):
            print(f"  {line}")
        for run in RUNS if arguments else ():
            print(f"  {run}")
            for line in times(Path(arguments[0]) / "runs" / run, profile):
                print(f"    {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
