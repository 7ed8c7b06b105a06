"""A workload in virtual time on a profile: the same engine, records of the same schema, origin `predicted`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from harness.core.engine import Engine
from harness.core.plan import Plan
from harness.core.record_log import Records
from harness.core.records import CallRecord, DelayRecord, JobRecord, TrialRecord
from harness.core.step_costs import sped_up
from harness.drivers.modelled import ModelledServer, ModelledServers, Tokens
from harness.drivers.virtual import simulate
from harness.errors import UserError
from harness.predict.forecast import TokensOf, forecast, forecast_assumes
from harness.predict.history import last_score
from harness.predict.turns import thread_of
from harness.profiles.compile import Fitted, compile_costs, noise, server_models
from harness.profiles.model_id import model_id
from harness.profiles.schema import DRIFT_BOUND, Profile
from harness.runs.model import Run, ServerFacts
from harness.units import count, percent
from harness.workload.load import Loaded
from harness.workload.schema import EngineServer, OllamaServer, ServerSpec, SimulatedServer

__all__ = ["Given", "Keep", "Prediction", "TokensOf", "fitted_lanes", "forecast", "predict", "simulate_trial"]

Given = Mapping[str, float] | None  # what the profile does not know; see `harness.profiles.compile.compile_costs`
Keep = Callable[[CallRecord | JobRecord | DelayRecord], None]


class Prediction(NamedTuple):
    """A predicted run, and the candidates that could not be predicted with the reason for each."""

    run: Run
    refused: Mapping[str, str]


def predict(
    loaded: Loaded,
    profile: Profile,
    *,
    repeats: int,
    tokens_of: TokensOf | None = None,
    given: Given = None,
    extrapolate: bool = False,
) -> Prediction:
    """Simulate every candidate of a workload.

    Args:
        loaded: the workload.
        profile: of the machine; every server of the workload is taken to stand on it.
        repeats: how often, with other draws each time.
        tokens_of: lengths of the calls as observed; None = as forecast.
        given, extrapolate: see `harness.profiles.compile.compile_costs`.

    Raises:
        UserError: no candidate can be predicted; the message says why for each.
    """
    trials: list[TrialRecord] = []
    records = Records()
    refused: dict[str, str] = {}
    notes: dict[str, None] = {}
    if tokens_of is None:
        tokens_of = forecast(loaded, profile.text)
        notes |= dict.fromkeys(forecast_assumes(loaded, profile))

    for plan in loaded.plans:
        try:
            fitted = fitted_lanes(loaded, profile, plan, given, extrapolate)
            _servers(loaded, profile, plan, fitted, 0, tokens_of(plan.name, 0))  # refused before anything is simulated
        except UserError as error:
            refused[plan.name] = str(error)
            continue
        notes |= dict.fromkeys(note for fit in fitted for note in fit.notes)
        for repeat in range(repeats):
            end_s = simulate_trial(loaded, profile, plan, fitted, repeat, tokens_of(plan.name, repeat), records.append)
            trials.append(TrialRecord(plan.name, repeat, "predicted", len(trials), "", end_s, None, True))
    if not trials:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise UserError(f"no candidate can be predicted on this profile. {reasons}")
    run = Run(
        name=loaded.workload.name,
        origin="predicted",
        started_at=datetime.now().astimezone().isoformat(timespec="seconds"),
        workload=loaded.workload,
        candidates=tuple(plan.name for plan in loaded.plans if plan.name not in refused),
        machine={"cpu": profile.machine, "profile": profile.name, "engine": profile.engine, "model": profile.model},
        servers=tuple(_facts(profile, name, spec) for name, spec in loaded.servers.items()),
        notes=(*_about(profile), *(f"Assumed: {note}." for note in notes), *_unpredicted(refused)),
        partial=False,
        trials=tuple(trials),
        calls=records.calls,
        jobs=records.jobs,
        delays=records.delays,
        plans=loaded.plans,
        options={"repeats": repeats},
    )
    return Prediction(run, refused)


def fitted_lanes(loaded: Loaded, profile: Profile, plan: Plan, given: Given, extrapolate: bool) -> list[Fitted]:
    """Compile the costs of the servers of a candidate; see `harness.profiles.compile.compile_costs` for errors."""
    return [_fitted(profile, lane.server, loaded.servers[lane.server], given, extrapolate) for lane in plan.lanes]


def simulate_trial(
    loaded: Loaded,
    profile: Profile,
    plan: Plan,
    fitted: Sequence[Fitted],
    repeat: int,
    tokens: Tokens,
    keep: Keep,
) -> float:
    """Simulate one candidate once, with the draws of that repeat, and return its end.

    Raises:
        CannotEnd: jobs come faster than they go.
    """
    engine = Engine(
        loaded.pipelines,
        plan,
        origin="predicted",
        seed=loaded.workload.seed,
        repeat=repeat,
        timeout_s=loaded.workload.timeout_s,
    )
    return simulate(engine, _servers(loaded, profile, plan, fitted, repeat, tokens), keep)


def _fitted(profile: Profile, name: str, spec: ServerSpec, given: Given, extrapolate: bool) -> Fitted:
    """Compile the costs of one server, with notes on all that is not as it was calibrated."""
    if isinstance(spec, SimulatedServer):
        extrapolate = extrapolate or spec.extrapolate
        given = {**spec.assume, **(given or {})}
    notes = [*_other_model(profile, name, spec, extrapolate)]
    fit = compile_costs(profile, spec.slots, threads=_threads(spec), given=given, extrapolate=extrapolate)
    if isinstance(spec, SimulatedServer):
        if spec.speed_up != 1:
            fit = fit._replace(costs=sped_up(fit.costs, spec.speed_up))
            notes.append(f'"{name}" is a simulated server: its times are divided by {spec.speed_up:g} here too')
    elif spec.batch_tokens != fit.costs.batch_tokens:
        notes.append(
            f'"{name}" has batch_tokens {spec.batch_tokens}, but the costs of a step are those of the profile, with '
            f"{fit.costs.batch_tokens}"
        )
    known = profile.memory.context_tokens
    if known is not None and spec.context_tokens > known:
        notes.append(
            f'"{name}" has a context of {spec.context_tokens} tokens, the profile was fitted with {known}: longer '
            "contexts are taken to cost on in the same way"
        )
    return fit._replace(notes=(*fit.notes, *notes))


def _other_model(profile: Profile, name: str, spec: ServerSpec, extrapolate: bool) -> tuple[str, ...]:
    """Return a note where the server has, or may have, another model than the profile; UserError unless asked for."""
    if isinstance(spec, SimulatedServer):
        known, wanted, is_same = profile.name, spec.model, spec.model == profile.name
        mistake = f'server "{name}" plays profile "{wanted}", not "{known}"'
    elif profile.model_id is None:
        return (
            f'the model of profile "{profile.name}" ({profile.model}) is that of the workload; the profile has no '
            "`model_id` to compare",
        )
    else:
        known, wanted = profile.model_id, model_id(spec.model)
        is_same = model_id(profile.model_id) == wanted
        mistake = f'profile "{profile.name}" was measured with model "{known}", server "{name}" wants "{wanted}"'
    if is_same:
        return ()
    if extrapolate:
        return (f'"{name}" wants {wanted}; its figures are extrapolated from {known}, which the profile measured',)
    raise UserError(f"{mistake}; calibrate with that one, or add --extrapolate, and the figures are marked")


def _threads(spec: ServerSpec) -> int | Literal["half"] | None:
    return spec.threads if isinstance(spec, EngineServer | SimulatedServer) else None


def _servers(
    loaded: Loaded, profile: Profile, plan: Plan, fitted: Sequence[Fitted], repeat: int, tokens: Tokens
) -> ModelledServers:
    seed = loaded.workload.seed
    noises = []
    for lane in plan.lanes:
        setting = profile.family(_threads(loaded.servers[lane.server])).get(str(lane.slots))
        sd = setting.noise if setting else None
        noises.append(noise(sd, seed, repeat, plan.name, lane.server) if sd else None)
    models = server_models(profile, [fit.costs for fit in fitted], noises=noises, half=[fit.half for fit in fitted])
    return ModelledServers(
        [
            ModelledServer(
                model,
                fit.costs.before_s,
                fit.costs.after_s,
                loaded.servers[lane.server].starts_per_s,
                fit.costs.gap_s,
            )
            for model, fit, lane in zip(models, fitted, plan.lanes, strict=True)
        ],
        tokens,
        thread_of(loaded),
        seed=seed,
        repeat=repeat,
    )


def _facts(profile: Profile, name: str, spec: ServerSpec) -> ServerFacts:
    url = spec.url or "" if isinstance(spec, OllamaServer) else ""
    details: dict[str, str | int | float] = {"context_tokens": spec.context_tokens}
    if str(spec.slots) not in profile.family(_threads(spec)):
        details["extrapolated"] = 1
    if isinstance(spec, EngineServer):
        details["batch_tokens"] = spec.batch_tokens
    return ServerFacts(
        name, spec.kind, url, spec.model, spec.slots, spec.slots, f"model of {profile.engine}", True, None, details
    )


def _about(profile: Profile) -> tuple[str, ...]:
    """What every prediction says first: on which profile, and how wrong it was on calls that it was not fitted to."""
    where = f'Predicted on profile "{profile.name}" ({profile.machine}; {profile.origin}).'
    held, last = profile.held_out, last_score(profile.name)
    lines = [where]
    if held is not None:
        lines[0] += (
            f" On {held.calls} calls that it was not fitted to it was off by {percent(held.median_error)} (median), "
            f"{percent(held.worst_error)} at worst."
        )
    drifted = [
        f"{setting.drift:+.0%} with {count(int(slots), 'slot')}"
        for family in (profile.slots, profile.half or {})
        for slots, setting in family.items()
        if setting.drift is not None and abs(setting.drift) > DRIFT_BOUND
    ]
    if drifted:
        lines.append(
            f"The machine changed speed while the profile was made ({', '.join(drifted)}): expect errors of that size."
        )
    if last and last.get("median_error") is not None:
        lines.append(
            f"Last scored against a real run of {last['workload']} ({last['measured_at']}): times off by "
            f"{percent(last['median_error'])} (median of {last['cells']}), {percent(last['worst_error'])} at worst."
        )
    if held is None and last is None:
        lines[0] += " Its error is not known: `slotwise score` shows it."
    return tuple(lines)


def _unpredicted(refused: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f'"{name}" is not predicted: {reason}.' for name, reason in refused.items())
