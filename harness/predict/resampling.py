"""What a prediction owes to its calibration: every candidate again, under profiles as they might have come out.

The draws are those of the prediction's first repeats, so that only the profile differs (common random numbers); the
factor between both runs is kept for every figure. Ratios of such factors, profile by profile, are what two candidates
can be compared by: an error that both share cancels there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.analysis.measures import figures_by_repeat
from harness.analysis.statistics import LEAST_PROFILES
from harness.core.record_log import Records
from harness.core.records import TrialRecord
from harness.drivers.virtual import CannotEnd
from harness.predict.forecast import TokensOf, forecast
from harness.predict.servers import Given, Profiles, modelled
from harness.predict.simulation import simulate_trial
from harness.profiles.fitted_range import out_of_range
from harness.profiles.resample import Resampled, Source, resampled
from harness.profiles.schema import Profile
from harness.runs.model import Run, UnderResampling
from harness.wording.predictions import about_resampling, cannot_end, too_large_to_resample
from harness.workload.load import Loaded

__all__ = ["with_resampling"]

_SOURCES: tuple[Source, ...] = ("resampled calibration", "standard errors", "unknown")  # the best first
PROFILES = 20
MOST_DRAWS = 5
REPEATS_PER_DRAW = 40  # so that all of it stays below half of the simulation itself
SMALL_CALLS = 20_000  # a simulation of this many calls takes no time to speak of


def with_resampling(
    run: Run,
    loaded: Loaded,
    profile: Profile,
    *,
    profiles: int | None,
    tokens_of: TokensOf | None = None,
    given: Given = None,
    extrapolate: bool = False,
    by_model: Mapping[str, Profile] | None = None,
    by_machine: Mapping[str, Profiles] | None = None,
) -> Run:
    """Return a predicted run with what its figures become under resampled profiles, and a note that says which.

    Args:
        run: predicted on this profile.
        loaded, profile, tokens_of, given, extrapolate, by_model, by_machine: as for the prediction.
        profiles: how many; 0 leaves it out. None = 20, or as many as take half of the prediction's own time.
    """
    if profiles == 0:
        return run
    repeats = len({trial.repeat for trial in run.trials})
    draws = min(MOST_DRAWS, max(1, repeats // REPEATS_PER_DRAW))
    first = _first(run, draws)
    if profiles is None:
        profiles = min(PROFILES, max(SMALL_CALLS, len(run.calls) // 2) // max(1, len(first.calls)))
        if profiles < LEAST_PROFILES:
            return run._replace(notes=(*run.notes, too_large_to_resample()))
    known = Profiles(profile, by_model or {}, by_machine or {})
    if tokens_of is None:
        tokens_of = forecast(loaded, profile.text, embedded=known.embedded_text)
    source, drawn = _resampled(known, profiles, loaded, run)
    usual = figures_by_repeat(first)
    predicted = {trial.candidate for trial in run.trials}
    plans = [plan for plan in loaded.plans if plan.name in predicted]
    endless: dict[str, int] = dict.fromkeys((plan.name for plan in plans), 0)
    under: list[dict[str, dict[int, float]]] = []
    for other in drawn:
        trials: list[TrialRecord] = []
        records = Records()
        for plan in plans:
            servers = modelled(loaded, other, plan, given=given, extrapolate=extrapolate)
            try:
                for repeat in range(draws):
                    tokens = tokens_of(plan.name, repeat)
                    end_s = simulate_trial(loaded, servers, repeat, tokens, records.append)
                    trials.append(TrialRecord(plan.name, repeat, servers.origin, len(trials), "", end_s, None, True))
            except CannotEnd:
                endless[plan.name] += 1
        under.append(
            figures_by_repeat(run._replace(trials=tuple(trials), calls=records.calls, jobs=records.jobs, delays=()))
        )
    factors = {
        key: found for key, values in usual.items() if (found := tuple(_factor(one[key], values) for one in under))
    }
    kept = {key: found for key, found in factors.items() if all(factor > 0 for factor in found)}
    return run._replace(
        resampled=UnderResampling(source, draws, kept),
        notes=(
            *run.notes,
            about_resampling(source, len(drawn), draws, len(known.all) > 1, estimated=run.origin == "estimated"),
            *cannot_end(endless, len(drawn)),
        ),
    )


def _resampled(profiles: Profiles, wanted: int, loaded: Loaded, run: Run) -> tuple[Source, list[Profiles]]:
    """Resample every profile once, wherever it stands; one of which nothing is known leaves all of it unknown.

    Two calibrations err independently of each other, so each has draws of its own.
    """
    found: dict[str, Resampled] = {}
    for number, profile in enumerate(profiles.all):
        far = out_of_range(profile, profiles.calls_on(profile, run.calls, loaded.servers)) is not None
        found[profile.name] = resampled(
            profile, wanted, loaded.workload.seed, exchange_prompts=far, which=profile.name if number else ""
        )
    source: Source = max((one.source for one in found.values()), key=_SOURCES.index)
    if source == "unknown":
        return source, []
    return source, [
        profiles.changed({name: one.profiles[i] for name, one in found.items()})
        for i in range(min(len(one.profiles) for one in found.values()))
    ]


def _first(run: Run, draws: int) -> Run:
    return run._replace(
        trials=tuple(trial for trial in run.trials if trial.repeat < draws),
        calls=tuple(call for call in run.calls if call.repeat < draws),
        jobs=tuple(job for job in run.jobs if job.repeat < draws),
        delays=(),
    )


def _factor(values: Mapping[int, float], usual: Mapping[int, float]) -> float:
    """Return the geometric mean of the ratios over the repeats that both have; 0 where that is none."""
    common = [repeat for repeat in values.keys() & usual.keys() if values[repeat] > 0 and usual[repeat] > 0]
    if not common:
        return 0.0
    return math.exp(math.fsum(math.log(values[repeat] / usual[repeat]) for repeat in common) / len(common))
