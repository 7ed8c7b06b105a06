"""A workload in virtual time on a profile: the same engine, records of the same schema, origin `predicted`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.plan import Plan
from harness.core.record_log import Records
from harness.core.records import TrialRecord
from harness.drivers.modelled import ModelledServer, ModelledServers, Tokens
from harness.drivers.virtual import simulate
from harness.errors import UserError
from harness.predict.history import last_score
from harness.predict.turns import drawn, thread_of
from harness.profiles.compile import Fitted, compile_costs, noise, server_models
from harness.profiles.schema import Profile
from harness.runs.model import Run, ServerFacts
from harness.units import percent
from harness.workload.load import Loaded
from harness.workload.schema import EngineServer, OllamaServer, ServerSpec

__all__ = ["Prediction", "TokensOf", "forecast", "predict"]

# The token counts of one repeat: (candidate, repeat) -> call -> (prompt tokens, output tokens).
TokensOf = Callable[[str, int], Tokens]


class Prediction(NamedTuple):
    """A predicted run, and the candidates that could not be predicted with the reason for each."""

    run: Run
    refused: Mapping[str, str]


def forecast(loaded: Loaded) -> TokensOf:
    """Return the lengths that a designer knows beforehand: estimated prompts, pinned or most output tokens."""
    nodes = tuple(pipeline.graph.nodes for pipeline in loaded.pipelines)
    lengths = [[(n.expected_prompt_tokens or 1, n.expected_output_tokens or 1) for n in graph] for graph in nodes]

    def tokens(call: Call) -> tuple[int, int]:
        return lengths[call.pipeline][call.node]

    return lambda candidate, repeat: drawn(loaded, repeat, tokens)


def predict(
    loaded: Loaded,
    profile: Profile,
    *,
    repeats: int,
    tokens_of: TokensOf,
    given: Mapping[str, float] | None = None,
    extrapolate: bool = False,
) -> Prediction:
    """Simulate every candidate of a workload.

    Args:
        loaded: the workload.
        profile: of the machine; every server of the workload is taken to stand on it.
        repeats: how often, with other draws each time.
        tokens_of: lengths of the calls, as forecast or as observed.
        given, extrapolate: see `harness.profiles.compile.compile_costs`.

    Raises:
        UserError: no candidate can be predicted; the message says why for each.
    """
    trials: list[TrialRecord] = []
    records = Records()
    refused: dict[str, str] = {}
    notes: dict[str, None] = {}

    for plan in loaded.plans:
        try:
            fitted = [_fitted(profile, loaded.servers[lane.server], given, extrapolate) for lane in plan.lanes]
            _servers(loaded, profile, plan, fitted, 0, tokens_of(plan.name, 0))  # refused before anything is simulated
        except UserError as error:
            refused[plan.name] = str(error)
            continue
        notes |= dict.fromkeys(note for fit in fitted for note in fit.notes)
        for repeat in range(repeats):
            engine = Engine(
                loaded.pipelines,
                plan,
                origin="predicted",
                seed=loaded.workload.seed,
                repeat=repeat,
                timeout_s=loaded.workload.timeout_s,
            )
            backend = _servers(loaded, profile, plan, fitted, repeat, tokens_of(plan.name, repeat))
            end_s = simulate(engine, backend, records.append)
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


def _fitted(profile: Profile, spec: ServerSpec, given: Mapping[str, float] | None, extrapolate: bool) -> Fitted:
    return compile_costs(profile, spec.slots, threads=_threads(spec), given=given, extrapolate=extrapolate)


def _threads(spec: ServerSpec) -> int | Literal["half"] | None:
    return spec.threads if isinstance(spec, EngineServer) else None


def _servers(
    loaded: Loaded, profile: Profile, plan: Plan, fitted: list[Fitted], repeat: int, tokens: Tokens
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
            ModelledServer(model, fit.costs.before_s, fit.costs.after_s, loaded.servers[lane.server].starts_per_s)
            for model, fit, lane in zip(models, fitted, plan.lanes, strict=True)
        ],
        tokens,
        thread_of(loaded),
    )


def _facts(profile: Profile, name: str, spec: ServerSpec) -> ServerFacts:
    url = spec.url or "" if isinstance(spec, OllamaServer) else ""
    details: dict[str, str | int | float] = {"context_tokens": spec.context_tokens}
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
