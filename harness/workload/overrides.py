"""What the command line changes in a workload, applied before it is frozen for good."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from harness.core.plan import Plan
from harness.core.policies import STANDARD, Policies
from harness.errors import UserError, did_you_mean
from harness.workload.candidates import Plans
from harness.workload.one_server import on_one_server
from harness.workload.schema import ENGINES, OllamaServer, OpenAiServer, ServerSpec, Workload, kind_hint

__all__ = ["EVERY", "Overrides", "default_url", "override", "override_plans"]

EVERY = ""  # in place of a server's name: all of them


class Overrides(NamedTuple):
    """What the command line asks for; None and empty leave the file as it is."""

    engine: str | None = None  # servers that are started get this one, by its kind; settings that both have stay
    model: str | None = None  # of every server; an agent that names a model keeps it
    # That server becomes the running one at this address; of `EVERY`: all do, and are one.
    server_urls: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    repeats: int | None = None
    warmup: int | None = None
    scale: float | None = None  # multiplies `jobs` wherever a pipeline has a number (at_s and trace stay)
    seed: int | None = None
    only: tuple[str, ...] = ()  # candidates to keep, by name
    server_models: dict[str, str] = {}  # noqa: RUF012 - nobody changes it; what some of `server_urls` have instead of the workload's
    openai_urls: Mapping[str, str] = {}  # where those of `server_urls` that speak OpenAI's API have it
    measured: Mapping[str, ServerSpec] = {}  # servers as a run had them, which come before those of the file


def override(workload: Workload, asked: Overrides, policies: Policies = STANDARD) -> Workload:
    """Return the workload with the overrides in it; a UserError names the flag. See also `override_plans`."""
    changes: dict[str, Any] = {}
    servers = {name: _as_measured(spec, asked.measured.get(name)) for name, spec in workload.servers.items()}
    if servers != workload.servers:
        changes["servers"] = servers
    if asked.engine is not None or asked.model is not None:
        changes["servers"] = {name: engine_of(spec, asked) for name, spec in servers.items()}
    if asked.server_urls:
        servers = changes.get("servers", dict(workload.servers))
        changes["servers"] = {name: _at_its_url(name, spec, asked) for name, spec in servers.items()}
    measure = {key: value for key, value in (("repeats", asked.repeats), ("warmup", asked.warmup)) if value is not None}
    if measure:
        if not 1 <= measure.get("repeats", 1) <= 1000:
            raise UserError(f"--repeats: expected 1 to 1000, found {asked.repeats}")
        if not 0 <= measure.get("warmup", 0) <= 20:
            raise UserError(f"--warmup: expected 0 to 20, found {asked.warmup}")
        changes["measure"] = workload.measure.model_copy(update=measure)
    if asked.scale is not None:
        if not 0 < asked.scale <= 10_000:
            raise UserError(f"--scale: expected more than 0, up to 10000, found {asked.scale:g}")
        changes["pipelines"] = {
            name: spec
            if spec.jobs is None or spec.arrival.process().starts is not None
            else spec.model_copy(update={"jobs": min(100_000, max(1, round(spec.jobs * asked.scale)))})
            for name, spec in workload.pipelines.items()
        }
    if asked.seed is not None:
        changes["seed"] = asked.seed
    if not changes:
        return workload
    written = {key: getattr(workload, key) for key in workload.model_fields_set}
    return Workload.model_validate({**written, **changes}, context={"policies": policies})


def engine_of(spec: ServerSpec, asked: Overrides) -> ServerSpec:
    """Return the server on the engine and with the model asked for; a running or simulated one keeps its engine."""
    if spec.simulation is not None:
        if asked.model is not None:
            raise UserError(f"--model: a simulated server has the model of its profile, here {spec.simulation.profile}")
        return spec
    if asked.engine is not None and asked.engine not in ENGINES:
        expected = " or ".join(f'"{kind}"' for kind in ENGINES)
        hint = kind_hint(asked.engine)
        raise UserError(f'--engine: expected {expected}, found "{asked.engine}"{hint}')
    model = asked.model or spec.model
    if asked.engine in (None, spec.kind) or spec.running:
        return spec.model_copy(update={"model": model})
    engine = ENGINES[asked.engine]
    shared = {key: getattr(spec, key) for key in type(spec).model_fields if key in engine.model_fields}
    return engine.model_validate({**shared, "kind": asked.engine, "model": model})


def _as_measured(spec: ServerSpec, measured: ServerSpec | None) -> ServerSpec:
    """Return a server as a run had it; one that is simulated stays, as its profile is named from the file's folder."""
    return spec if measured is None or spec.simulated or measured.simulated else measured


def at_url(
    name: str, spec: ServerSpec, url: str, model: str | None = None, openai_url: str | None = None
) -> ServerSpec:
    """Return the server as a running one at `url`, with the slots of the file, and its model unless given.

    It is an Ollama, unless `openai_url` says where its OpenAI API is.
    """
    if not url.startswith(("http://", "https://")) or url in ("http://", "https://"):
        flag = f"--server {name}".rstrip()
        raise UserError(f'{flag}: expected an address such as http://127.0.0.1:11434, found "{url}"')
    model = model or spec.model
    if (moved := spec.moved(openai_url or url, model)) is not None:
        return moved
    keep = spec.model_dump(include={"slots", "context_tokens", "starts_per_s", "machine"}, exclude_unset=True)
    if openai_url is not None:
        return OpenAiServer.model_validate({**keep, "kind": "openai", "model": model, "url": openai_url})
    keep |= spec.model_dump(include={"batch_tokens"}, exclude_unset=True)
    return OllamaServer.model_validate({**keep, "kind": "ollama", "model": model, "url": url})


def default_url(spec: ServerSpec, asked: Overrides) -> ServerSpec:
    """Return the server of a file that names none: the running one, where that stands for every server."""
    return _at_its_url(EVERY, spec, asked)


def _at_its_url(name: str, spec: ServerSpec, asked: Overrides) -> ServerSpec:
    """Return the server as the running one that takes its place; itself where none does."""
    key = EVERY if EVERY in asked.server_urls else name
    if key not in asked.server_urls:
        return spec
    return at_url(key, spec, asked.server_urls[key], asked.server_models.get(key), asked.openai_urls.get(key))


def override_plans(found: Plans, workload: Workload, asked: Overrides, embedding: Collection[str] = ()) -> Plans:
    """Keep the candidates asked for, and put running servers in place of derived ones; names are checked.

    One that stands for every server makes one of them: see `harness.workload.one_server`, also for `embedding`.

    Where running servers are named with a model of their own, candidates that need an embedded engine are left out: it
    has other models.
    """
    names = {**dict.fromkeys(workload.servers), **dict.fromkeys(found.servers)}
    for name in asked.server_urls:
        if name != EVERY and name not in names:
            raise UserError(f'--server: no server "{name}"{did_you_mean(name, names) or _there_is(names)}')
    candidates = [plan.name for plan in found.plans]
    for name in asked.only:
        if name not in candidates:
            raise UserError(f'--only: no candidate "{name}"{did_you_mean(name, candidates) or _there_is(candidates)}')
    chosen = tuple(plan for plan in found.plans if not asked.only or plan.name in asked.only)
    if EVERY in asked.server_urls:
        paths = {spec.path for spec in workload.pipelines.values()}
        split = not workload.compare and len(paths) == 2 and "split" not in candidates and not asked.only
        return on_one_server(found, chosen, embedding, both_paths=split)
    skipped = _without_url(chosen, found.servers, asked)
    plans = tuple(plan for plan in chosen if plan.name not in skipped)
    used = {queue.server for plan in plans for queue in plan.queues}
    servers = {name: _at_its_url(name, spec, asked) for name, spec in found.servers.items() if name in used}
    derived = tuple(name for name in found.derived if name in servers)
    why = {name: f"no URL for {', '.join(without)}" for name, without in skipped.items()}
    return found._replace(servers=servers, plans=plans, derived=derived, skipped=why)


def _without_url(
    plans: Sequence[Plan], servers: Mapping[str, ServerSpec], asked: Overrides
) -> dict[str, tuple[str, ...]]:
    """Return the candidates that cannot be tried on the running servers alone, with what they lack an address of."""
    model = asked.model or next(iter(asked.server_models.values()), None)
    if not asked.server_urls or model is None or asked.engine is not None:
        return {}
    lacking = {
        plan.name: tuple(
            queue.server
            for queue in plan.queues
            if queue.server not in asked.server_urls and servers[queue.server].embedded
        )
        for plan in plans
    }
    skipped = {name: without for name, without in lacking.items() if without}
    if skipped and len(skipped) == len(plans):
        every = dict.fromkeys(name for without in skipped.values() for name in without)
        least = min(skipped, key=lambda name: len(skipped[name]))
        urls = " ".join(f"--server {name}=URL" for name in skipped[least])
        raise UserError(
            f"--server: every candidate uses a server without a URL ({', '.join(every)}), where {model} is not. "
            f"To measure on one server: --server URL, without a name. Or name a URL for each, or for those of one "
            f"candidate: {urls} --only {least}. To start them here on Ollama: "
            f"--engine ollama --model {model}, without --server"
        )
    return skipped


def _there_is(names: Any) -> str:
    return f"; there is: {', '.join(names)}"
