"""What `slotwise simulate` does, apart from its options."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from harness.analysis.analyse import analyse
from harness.errors import UserError, did_you_mean
from harness.predict.forecast import TokensOf
from harness.predict.resampling import with_resampling
from harness.predict.score import replay
from harness.predict.simulation import predict
from harness.profiles.compile import ASSUMPTIONS
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.schema import Profile
from harness.report.summary import summary_text
from harness.report.terminal import print_report
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import note_run
from harness.units import safe_url
from harness.wording.predictions import lengths_measured
from harness.workload.load import Loaded, Overrides, load_workload

__all__ = ["Options", "given_values", "simulate_workload"]


class Options(NamedTuple):
    """The options of `slotwise simulate`."""

    profiles: tuple[str, ...]
    repeats: int
    resamples: int | None
    only: tuple[str, ...]
    scale: int
    seed: int | None
    assume: tuple[str, ...]
    extrapolate: bool
    lengths: Path | None
    out: Path | None
    as_json: bool


def simulate_workload(file: Path, options: Options) -> None:
    """Predict, analyse, and print; write a run folder where one is asked for."""
    loaded = load_workload(file, Overrides(scale=options.scale, seed=options.seed, only=options.only))
    profile, by_model = _profiles(options.profiles, file.parent)
    given = given_values(options.assume)
    tokens_of = None if options.lengths is None else _measured(options.lengths, loaded)
    prediction = predict(
        loaded,
        profile,
        repeats=options.repeats,
        tokens_of=tokens_of,
        given=given,
        extrapolate=options.extrapolate,
        by_model=by_model,
    )
    run = with_resampling(
        prediction.run,
        loaded,
        profile,
        profiles=options.resamples,
        tokens_of=tokens_of,
        given=given,
        extrapolate=options.extrapolate,
        by_model=by_model,
    )
    if options.lengths is not None:
        run = run._replace(notes=(*run.notes, lengths_measured(options.lengths)))
    run = run._replace(command=safe_url(shlex.join(["slotwise", *sys.argv[1:]])))
    analysis = analyse(run)
    if options.as_json:
        print(summary_text(analysis), end="")
    else:
        print_report(analysis, Console(highlight=False))
    if options.out is not None:
        from harness.report.files import write_report  # altair: a second that nobody waits for without a folder

        run = run._replace(copies={**_copies((profile, *by_model.values())), **run.copies})
        with RunFolder.create(options.out, run.name, datetime.now()) as folder:
            folder.write_header(run._replace(partial=True))  # should this be all that is ever written
            folder.add_records(run)
            folder.write_header(run)
        write_report(folder.path, analysis, run)
        note_run(folder.path)
        print(f"\nReport, charts and every call: {folder.path}", file=sys.stderr)


def _copies(profiles: Iterable[Profile]) -> dict[str, bytes]:
    """Return the profiles as `--profile NAME` finds them beside the run's own workload."""
    named = {profile.name: profile for profile in profiles if re.fullmatch(r"\w[\w.-]*", profile.name)}
    return {f"profiles/{name}.yaml": dump_profile(profile).encode() for name, profile in named.items()}


def _measured(folder: Path, loaded: Loaded) -> TokensOf:
    """Return the lengths that a run of this workload really had."""
    run = read_run(folder)
    if run.origin == "predicted":
        raise UserError(f"{folder}: expected a measured run, found a predicted one; its lengths are a forecast too")
    mine = {(pipeline.name, node.name) for pipeline in loaded.pipelines for node in pipeline.graph.nodes}
    if not mine & {(call.pipeline, call.node) for call in run.calls if call.outcome == "ok"}:
        raise UserError(
            f'{folder}: expected a run of "{loaded.workload.name}", found none of its nodes in "{run.name}"'
        )
    return replay(run, loaded.pipelines)


def _profiles(asked: tuple[str, ...], near: Path) -> tuple[Profile, dict[str, Profile]]:
    """Read `--profile NAME`, or `--profile MODEL=NAME` for each model; return the first, and those of models."""
    if len(asked) == 1 and "=" not in asked[0]:
        return load_profile(asked[0], near), {}
    by_model: dict[str, Profile] = {}
    for text in asked:
        model, separator, name = text.rpartition("=")
        if not (separator and model and name):
            raise UserError(
                "--profile: several go by model, such as --profile smollm2-135m=NAME --profile gemma3-270m=NAME, "
                f'found "{text}"'
            )
        if model in by_model:
            raise UserError(f'--profile: two profiles for model "{model}"; give one')
        by_model[model] = load_profile(name, near)
    return next(iter(by_model.values())), by_model


def given_values(pairs: tuple[str, ...]) -> dict[str, float]:
    """Read KEY=NUMBER pairs; UserError where one is none."""
    known = (*ASSUMPTIONS, "load_s")
    values = {}
    for pair in pairs:
        key, _, number = pair.partition("=")
        try:
            values[key] = float(number)
        except ValueError:
            raise UserError(
                f'--assume: expected KEY=NUMBER, such as prefill_s_per_token=0.004, found "{pair}"'
            ) from None
        if key not in known:
            raise UserError(f'--assume: expected one of {", ".join(known)}, found "{key}"{did_you_mean(key, known)}')
    return values
