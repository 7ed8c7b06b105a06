"""A workload in virtual time on a profile: the same engine, records of the same schema, origin `predicted`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from harness.core.engine import Engine
from harness.core.levers import AS_MADE, Levers
from harness.core.plan import Plan
from harness.core.record_log import Records
from harness.core.records import CallRecord, DelayRecord, JobRecord, TrialRecord
from harness.drivers.modelled import ModelledServers, Tokens
from harness.drivers.virtual import simulate
from harness.errors import UserError
from harness.predict.forecast import TokensOf, forecast, forecast_assumes
from harness.predict.history import last_score
from harness.predict.servers import Given, Modelled, Profiles, modelled
from harness.predict.sizes import Sizes
from harness.profiles.fitted_range import out_of_range
from harness.profiles.schema import Profile
from harness.runs.model import Run, ServerFacts
from harness.wording.predictions import (
    about_profile,
    about_score,
    assumed,
    extrapolated_prompts,
    held_out_fact,
    unpredicted,
)
from harness.workload.load import Loaded
from harness.workload.longest import needs_of
from harness.workload.schema import ServerSpec

__all__ = [
    "Given",
    "Keep",
    "Prediction",
    "TokensOf",
    "forecast",
    "predict",
    "predict_trial",
    "simulate_trial",
    "unpredictable",
]

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
    by_model: Mapping[str, Profile] | None = None,
    by_machine: Mapping[str, Profiles] | None = None,
    levers: Levers = AS_MADE,
) -> Prediction:
    """Simulate every candidate of a workload.

    Args:
        loaded: the workload.
        profile: of the machine; every server of the workload that names no other is taken to stand on it.
        repeats: how often, with other draws each time.
        tokens_of: lengths of the calls as observed; None = as forecast.
        given, extrapolate: see `harness.predict.servers.modelled`.
        by_model: a profile for each model, where nodes ask for several; `profile` is then the first of them.
        by_machine: profiles of machines that have their own.
        levers: of every server, where they are not as the profile was made.

    Raises:
        UserError: no candidate can be predicted; the message says why for each.
    """
    profiles = Profiles(profile, by_model or {}, by_machine or {})
    trials: list[TrialRecord] = []
    records = Records()
    refused: dict[str, str] = {}
    notes: dict[str, None] = {}
    loads = False  # some server has to load models
    if tokens_of is None:
        tokens_of = forecast(loaded, profile.text, embedded=profiles.embedded_text)
        notes |= dict.fromkeys(forecast_assumes(loaded, profile, profiles.embedded_text))

    for plan in loaded.plans:
        try:
            servers = _servers(loaded, profiles, plan, tokens_of, given, extrapolate).with_levers(levers)
        except UserError as error:
            refused[plan.name] = str(error)
            continue
        notes |= dict.fromkeys(servers.notes)
        loads |= servers.loads
        for repeat in range(repeats):
            end_s = simulate_trial(loaded, servers, repeat, tokens_of(plan.name, repeat), records.append)
            trials.append(TrialRecord(plan.name, repeat, servers.origin, len(trials), "", end_s, None, True))
    if not trials:
        by_reason: dict[str, list[str]] = {}
        for name, reason in refused.items():
            by_reason.setdefault(reason, []).append(name)
        lines = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
        raise UserError("\n".join(["no candidate can be predicted on this profile", *lines]))
    if given and "load_s" in given and not loads:
        raise UserError(
            "--assume load_s: no candidate has a server that loads models in a trial; leave the assumption out"
        )
    run = Run(
        name=loaded.workload.name,
        origin=profiles.origin,
        started_at=datetime.now().astimezone().isoformat(timespec="seconds"),
        workload=loaded.resolved(),
        copies=loaded.copies(),
        candidates=tuple(plan.name for plan in loaded.plans if plan.name not in refused),
        machine={
            "cpu": ", ".join(dict.fromkeys(one.machine for one in profiles.all)),
            "profile": ", ".join(one.name for one in profiles.all),
            "engine": ", ".join(dict.fromkeys(one.engine for one in profiles.all)),
            "model": ", ".join(dict.fromkeys(one.model for one in profiles.all)),
            **held_out_fact(profiles.all),
        },
        servers=tuple(_facts(profiles.on(spec.machine).first, name, spec) for name, spec in loaded.servers.items()),
        notes=(
            *(
                note
                for one in profiles.all
                for note in about_profile(one, last_score(one.name), profiles.machines_of(one))
            ),
            *(about_score(last_score(profiles.name)) if len(profiles.all) > 1 else ()),
            *assumed(notes),
            *extrapolated_prompts(
                found
                for one in profiles.all
                if (found := out_of_range(one, profiles.calls_on(one, records.calls, loaded.servers))) is not None
            ),
            *unpredicted(refused),
        ),
        partial=False,
        trials=tuple(trials),
        calls=records.calls,
        jobs=records.jobs,
        delays=records.delays,
        plans=loaded.plans,
        options={"repeats": repeats},
        needs=needs_of(loaded),
        work=loaded.work(),
        file=str(loaded.path),
    )
    return Prediction(run, refused)


def predict_trial(
    loaded: Loaded, profiles: Profiles, plan: Plan, repeat: int, *, extrapolate: bool = False
) -> tuple[TrialRecord, Records]:
    """Simulate one candidate once: the trial and the records that `predict` makes of that candidate and repeat.

    Raises:
        UserError: the candidate cannot be predicted.
    """
    tokens_of = forecast(loaded, profiles.first.text, embedded=profiles.embedded_text)
    servers = _servers(loaded, profiles, plan, tokens_of, None, extrapolate)
    records = Records()
    end_s = simulate_trial(loaded, servers, repeat, tokens_of(plan.name, repeat), records.append)
    return TrialRecord(plan.name, repeat, servers.origin, 0, "", end_s, None, True), records


def unpredictable(
    loaded: Loaded, profiles: Profiles, *, given: Given = None, extrapolate: bool = False
) -> dict[str, str]:
    """Return the candidates of a workload that cannot be predicted, with the reason for each."""
    tokens_of, found = forecast(loaded, profiles.first.text, embedded=profiles.embedded_text), {}
    for plan in loaded.plans:
        try:
            _servers(loaded, profiles, plan, tokens_of, given, extrapolate)
        except UserError as error:
            found[plan.name] = str(error)
    return found


def _servers(
    loaded: Loaded, profiles: Profiles, plan: Plan, tokens_of: TokensOf, given: Given, extrapolate: bool
) -> Modelled:
    """Return a candidate's servers; UserError where they cannot be predicted, before anything is simulated."""
    servers = modelled(loaded, profiles, plan, given=given, extrapolate=extrapolate)
    servers.make(0, tokens_of(plan.name, 0))
    return servers


def simulate_trial(loaded: Loaded, servers: Modelled, repeat: int, tokens: Tokens, keep: Keep) -> float:
    """Simulate one candidate once, with the draws of that repeat, and return its end.

    Where it matters what is in the slots, the trial is simulated twice, and the second one finds there what the first
    one left: servers are rarely as new as a fresh model.

    Raises:
        CannotEnd: jobs come faster than they go.
    """
    left = None
    if servers.remembers:
        before = servers.make(repeat, tokens)
        _simulate(loaded, servers, repeat, before, tokens, lambda record: None)
        left = before.left
    return _simulate(loaded, servers, repeat, servers.make(repeat, tokens, left), tokens, keep)


def _simulate(
    loaded: Loaded, servers: Modelled, repeat: int, backend: ModelledServers, tokens: Tokens, keep: Keep
) -> float:
    engine = Engine(
        loaded.pipelines,
        servers.plan,
        origin=servers.origin,
        seed=loaded.workload.seed,
        repeat=repeat,
        timeout_s=loaded.workload.timeout_s,
    )
    return simulate(engine, backend, tokens.listening(keep) if isinstance(tokens, Sizes) else keep)


def _facts(profile: Profile, name: str, spec: ServerSpec) -> ServerFacts:
    details: dict[str, str | int | float] = {}
    if spec.known_context is not None:
        details["context_tokens"] = spec.known_context
    if str(spec.slots) not in profile.family(spec.engine_threads):
        details["extrapolated"] = 1
    if profile.accelerator is not None:
        details["accelerator"] = profile.accelerator
    if spec.engine_threads == "half":
        known = [setting.threads for setting in (profile.half or {}).values() if setting.threads is not None]
        if known:
            details["threads"] = known[0]
    if spec.pinned_batch_tokens is not None:
        details["batch_tokens"] = spec.pinned_batch_tokens
    if spec.machine is not None:
        details["machine"] = spec.machine
    if spec.load_limit is not None:
        details["max_loaded_models"] = spec.load_limit
    if spec.queue_limit is not None:
        details["max_queue"] = spec.queue_limit
    details |= spec.levers
    url = spec.address or ""
    return ServerFacts(
        name, spec.kind, url, spec.model, spec.slots, spec.slots, f"model of {profile.engine}", True, None, details
    )
