"""The servers of one candidate as server models: on which profile, with which models, sharing which machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from harness.core.context import Context
from harness.core.embedding import EmbeddingCosts, EmbeddingModel
from harness.core.events import Call
from harness.core.levers import AS_MADE, Levers, with_levers
from harness.core.machine import Machine, SharedServer
from harness.core.model_swaps import MAX_QUEUE, ModelSwaps
from harness.core.plan import Plan
from harness.core.records import Origin
from harness.core.server_model import ServerModel
from harness.core.step_costs import sped_up
from harness.drivers.modelled import Beginning, ModelledServer, ModelledServers, Tokens
from harness.errors import UserError
from harness.predict.counting import counting_of
from harness.predict.profiles import Profiles
from harness.predict.runners import AskedRunners, Runner, asked_on, keeps_of_nodes, runners_of_nodes, unloads
from harness.predict.turns import beginning_of, thread_of
from harness.profiles.compile import Fitted, Left, compile_costs, noise, stretch_of, unknowns
from harness.profiles.embedding import embedding_of, stretch_with
from harness.profiles.levers import lever_notes, pulled
from harness.profiles.model_id import model_id
from harness.profiles.schema import Embedding, Profile
from harness.workload.load import Loaded
from harness.workload.machines import by_machine
from harness.workload.schema import ServerSpec

__all__ = ["Given", "Modelled", "Profiles", "modelled"]

Given = Mapping[str, float] | None  # what a profile does not know: `harness.profiles.compile.ASSUMPTIONS`, and load_s


class _Queue(NamedTuple):
    """A server of the candidate, with what it costs for each of its models."""

    name: str
    spec: ServerSpec
    runners: tuple[Runner, ...]  # that answer, then those that embed
    profiles: tuple[Profile, ...]  # of those that answer, as the next
    fits: tuple[Fitted, ...]
    embeddings: tuple[Embedding, ...]  # of those that embed
    load_s: tuple[float, ...] = ()  # of its runners, where it has several, or calls have one unloaded

    @property
    def embedding_costs(self) -> list[EmbeddingCosts]:
        """What its models cost that embed."""
        simulation = self.spec.simulation
        factor = 1.0 if simulation is None else simulation.speed_up
        return [one.costs.sped_up(factor) for one in self.embeddings]

    @property
    def weights(self) -> tuple[int, ...]:
        """Of each runner, which of its models: a server has one runner of a model in memory at a time."""
        models = [(runner.model, number >= len(self.fits)) for number, runner in enumerate(self.runners)]
        return tuple(models.index(model) for model in models)

    def mean(self, cost: str) -> float:
        """Return a cost of a call outside its server, the mean over the models that answer."""
        return fmean(getattr(fit.costs, cost) for fit in self.fits) if self.fits else 0.0


class Modelled(NamedTuple):
    """The servers of one candidate; `notes` say what of them is not from a profile."""

    loaded: Loaded
    plan: Plan
    queues: tuple[_Queue, ...]
    notes: tuple[str, ...]

    @property
    def origin(self) -> Origin:
        """Where its numbers come from: `estimated` where one of its profiles is."""
        known = (profile.origin for queue in self.queues for profile in queue.profiles)
        return "estimated" if "estimated" in known else "predicted"

    @property
    def loads(self) -> bool:
        """Whether a server has something to load."""
        return any(queue.load_s for queue in self.queues)

    def with_levers(self, levers: Levers) -> Modelled:
        """Return the same servers with other settings of their engines."""
        if levers == AS_MADE:
            return self
        queues = [
            queue._replace(fits=tuple(fit._replace(costs=with_levers(fit.costs, levers)) for fit in queue.fits))
            for queue in self.queues
        ]
        return self._replace(queues=tuple(queues))

    @property
    def remembers(self) -> bool:
        """Whether what an earlier trial left in the slots matters."""
        return any(fit.costs.passes or fit.costs.ram_cache for queue in self.queues for fit in queue.fits)

    def make(self, repeat: int, tokens: Tokens, left: Sequence[Sequence[Left]] | None = None) -> ModelledServers:
        """Return fresh ones for one repeat; UserError where they cannot work side by side.

        Args:
            repeat: key of the noise.
            tokens: how long each call is.
            left: what an earlier trial left in the slots (`ModelledServers.left`); None = nobody was there.
        """
        found = left or [[()] * len(queue.runners) for queue in self.queues]
        servers: dict[int, ModelledServer] = {}
        for numbers in by_machine({number: queue.spec for number, queue in enumerate(self.queues)}).values():
            servers |= self._on_one_machine(numbers, repeat, found)
        return ModelledServers(
            [servers[number] for number in range(len(self.queues))],
            tokens,
            thread_of(self.loaded),
            self._beginning(repeat),
            texts_of=self._texts_of() if any(queue.embeddings for queue in self.queues) else None,
            seed=self.loaded.workload.seed,
            repeat=repeat,
        )

    def _beginning(self, repeat: int) -> Beginning | None:
        """Return what prompts begin with alike, where a server may keep anything."""
        sessions = (pipeline.session for pipeline in self.loaded.pipelines)
        growths = (node.grows for pipeline in self.loaded.pipelines for node in pipeline.graph.nodes)
        kept = any(talk is not None and talk.reuse_prefix for talk in (*sessions, *growths))
        if not kept and not any(agent.shares_prefix for agent in self.loaded.agents.values()):
            return None
        texts = [queue.profiles[0].text if queue.profiles else None for queue in self.queues]  # none: it only embeds
        countings = [counting_of(queue.spec, text) for queue, text in zip(self.queues, texts, strict=True)]
        return beginning_of(self.loaded, self.plan.name, countings, repeat)

    def _on_one_machine(
        self, numbers: Sequence[int], repeat: int, left: Sequence[Sequence[Left]]
    ) -> dict[int, ModelledServer]:
        """Return servers that slow each other, by their numbers: several of one model each, or one of several."""
        queues = [self.queues[number] for number in numbers]
        fits = [fit for queue in queues for fit in queue.fits]
        # The same for every candidate: what is left of a difference between two is theirs, and not the noise's.
        noises = [
            noise(fit.noise, self.loaded.workload.seed, repeat, number, *which) if fit.noise else None
            for number, queue in zip(numbers, queues, strict=True)
            for fit, runner in zip(queue.fits, queue.runners, strict=False)
            for which in [_key(runner) if len(queue.runners) > 1 else ()]
        ]
        before = [found for number in numbers for found in left[number][: len(self.queues[number].fits)]]
        several = [
            ServerModel(fit.costs, noise=factor, left=found)
            for fit, factor, found in zip(fits, noises, before, strict=True)
        ]
        embedding = [EmbeddingModel(costs) for queue in queues for costs in queue.embedding_costs]
        if queues[0].load_s:
            (queue,) = queues
            weights = queue.weights
            most = most_loaded(queue.spec, len(set(weights)))
            stretch = self._stretch(queues, most) if most > 1 else {}
            models = [*several, *embedding]
            limit = queue.spec.queue_limit or MAX_QUEUE
            swaps = ModelSwaps(models, queue.load_s, most, stretch, max_queue=limit, weights=weights)
            which = runners_of_nodes(self.loaded, queue.spec, queue.runners)
            return {numbers[0]: _server(queue, swaps, which, keeps_of_nodes(self.loaded, queue.spec))}
        at_work = [embedding.pop(0) if queue.embeddings else several.pop(0) for queue in queues]
        if len(at_work) > 1:
            shared = Machine(at_work, self._stretch(queues, len(at_work)))
            parts = zip(numbers, queues, shared.servers, strict=True)
            return {number: _server(queue, server) for number, queue, server in parts}
        return {numbers[0]: _server(queues[0], at_work[0])}

    def _stretch(self, queues: Sequence[_Queue], busy: int) -> dict[int, float]:
        """Return how the models of these servers, which share a machine, slow each other."""
        embeddings = [one for queue in queues for one in queue.embeddings]
        if embeddings:
            return stretch_with(embeddings, sum(len(queue.fits) for queue in queues), busy)
        shared = _side_by_side([profile for queue in queues for profile in queue.profiles])
        return stretch_of(shared, busy, [fit.half for queue in queues for fit in queue.fits])

    def _texts_of(self) -> Callable[[Call], int]:
        graphs = [pipeline.graph.nodes for pipeline in self.loaded.pipelines]
        return lambda call: graphs[call.pipeline][call.node].texts_of(call.item)


def _server(
    queue: _Queue,
    model: ServerModel | SharedServer | ModelSwaps,
    runners: tuple[tuple[int, ...], ...] = (),
    keeps_s: tuple[tuple[float | None, ...], ...] = (),
) -> ModelledServer:
    before_s, after_s, gap_s = (queue.mean(cost) for cost in ("before_s", "after_s", "gap_s"))
    pace = queue.spec.starts_per_s
    request_s = max((costs.request_s for costs in queue.embedding_costs), default=0.0)
    return ModelledServer(model, before_s, after_s, pace, gap_s, runners, keeps_s, _contexts(queue), request_s)


def modelled(
    loaded: Loaded,
    profiles: Profiles,
    plan: Plan,
    *,
    given: Given = None,
    extrapolate: bool = False,
) -> Modelled:
    """Find the profile of every model on every server of a candidate, and compile what they cost.

    Args:
        loaded: the workload.
        profiles: of the machines; servers that name none are taken to stand on one.
        plan: the candidate.
        given: values that a profile does not know: those of `harness.profiles.compile.ASSUMPTIONS`, and `load_s`.
        extrapolate: see `compile_costs`.

    Raises:
        UserError: a model has no profile, or a profile lacks what is needed; or several servers, one of which serves
            several models, share a machine.
    """
    given = dict(given or {})
    given_load_s = given.pop("load_s", None)
    asked = [asked_on(loaded, plan, number) for number in range(len(plan.queues))]
    specs = [loaded.servers[queue.server] for queue in plan.queues]
    loading = [one.several or unloads(loaded, plan, number) for number, one in enumerate(asked)]
    _check_models(profiles, specs, asked, loading)
    queues = []
    for queue, spec, (answer, embed) in zip(plan.queues, specs, asked, strict=True):
        here = profiles.on(spec.machine)
        own = tuple(here.of(runner.model) for runner in answer)
        fits = tuple(
            _fitted(profile, queue.server, _in_context(spec, runner), runner.model, given, extrapolate, profiles)
            for profile, runner in zip(own, answer, strict=True)
        )
        half = any(fit.half for fit in fits) if fits else spec.engine_threads == "half"
        known = tuple(embedding_of(here.all, runner.model, half=half) for runner in embed)
        queues.append(_Queue(queue.server, spec, (*answer, *embed), own, fits, known))
    notes = [note for queue in queues for fit in queue.fits for note in fit.notes]
    for number, queue_of in enumerate(queues):
        if loading[number]:
            load_s, more = _loads(queue_of, given_load_s, unloads(loaded, plan, number))
            notes += more
            queues[number] = queue_of._replace(load_s=load_s)
    return Modelled(loaded, plan, tuple(queues), tuple(dict.fromkeys(notes)))


def _loads(queue: _Queue, given_s: float | None, unloads: bool) -> tuple[tuple[float, ...], list[str]]:
    """Return how long each runner of a server takes to load, and notes on what is not from a profile."""
    notes = _about_loads(queue)
    load_s: list[float] = []
    loads = [profile.load_s for profile in queue.profiles] + [one.load_s for one in queue.embeddings]
    names = [profile.name for profile in queue.profiles] + [f"embedding of {r.model}" for r in queue.runners]
    models, runners = len(set(queue.weights)), len(queue.runners)
    together = models == runners and most_loaded(queue.spec, models) == models and not unloads
    for runner, measured_s, name in zip(queue.runners, loads, names, strict=False):
        model, idle = runner.model, together and bool(queue.embeddings)  # then nothing is loaded in a trial
        known_s = measured_s if measured_s is not None else 0.0 if idle else given_s
        if known_s is None:
            raise UserError(
                f'profile "{name}" does not say how long {model} takes to load (load_s); calibrate it on '
                "Ollama, or give it with --assume load_s=..."
            )
        if measured_s is None and not idle:
            notes.append(f"load_s = {known_s:g} is given for {model}, not fitted (seconds to load a model)")
        load_s.append(known_s)
    if models < runners:
        notes.append(
            f'"{queue.name}" loads a model again for another num_ctx; each load takes load_s, with whichever context'
        )
    return tuple(load_s), notes


def _in_context(spec: ServerSpec, runner: Runner) -> ServerSpec:
    """Return a server as calls that ask for this runner's context find it."""
    return spec if runner.own else spec.model_copy(update={"context_tokens": runner.context_tokens})


def _key(runner: Runner) -> tuple[str | int, ...]:
    """Return what the noise of a runner is drawn by."""
    return (runner.model,) if runner.own else (runner.model, runner.context_tokens or 0)


def _check_models(
    profiles: Profiles, specs: Sequence[ServerSpec], asked: Sequence[AskedRunners], loading: Sequence[bool]
) -> None:
    """Raise UserError where a machine has several models and one profile, or too much beside a server of several."""
    for machine, numbers in by_machine(dict(enumerate(specs))).items():
        names = list(dict.fromkeys(model for number in numbers for model in asked[number].models))
        if len(names) > 1 and not profiles.on(machine).by_model:
            where, prefix = ("", "") if machine is None else (f' on machine "{machine}"', f"{machine}:")
            raise UserError(
                f"its nodes ask for {len(names)} models{where}, and a profile is of one; give one for each: "
                + " ".join(f"--profile {prefix}{name}=NAME" for name in names)
            )
        if len(numbers) > 1 and any(loading[number] for number in numbers):
            raise UserError(
                "a server with several models beside another server on the same machine cannot be predicted; measure "
                "it, give every model a server of its own and its agents no num_ctx or keep_alive, or name the "
                "machines where they stand on several"
            )


def most_loaded(spec: ServerSpec, models: int) -> int:
    """Return how many models a server keeps in memory at the same time."""
    usual = spec.usual_load_limit if spec.running else None
    return spec.load_limit or min(models, usual or models)


def _fitted(
    profile: Profile,
    name: str,
    spec: ServerSpec,
    model: str,
    given: Mapping[str, float],
    extrapolate: bool,
    profiles: Profiles,
) -> Fitted:
    """Compile the costs of one model on one server, with notes on all that is not as it was calibrated."""
    threads, simulation = spec.engine_threads, spec.simulation
    if simulation is not None:
        extrapolate = extrapolate or simulation.extrapolate
        given = {**simulation.assume, **given}
    notes = [*_other_model(profile, name, spec, model, extrapolate)]
    if len(profiles.all) > 1:  # what one profile lacks is given, and no mistake for another that knows it
        lacking = {
            one.name: {item.key for item in unknowns(one, spec.slots, threads=threads, extrapolate=derive)}
            for one in profiles.all
            for derive in [extrapolate or one.name != profile.name]  # another need not know these slots
        }
        elsewhere = set().union(*lacking.values()) - lacking[profile.name]
        given = {key: value for key, value in given.items() if key not in elsewhere}
    fit = compile_costs(profile, spec.slots, threads=threads, given=given, extrapolate=extrapolate)
    notes += lever_notes(profile, fit.costs, spec.levers, name)
    fit = fit._replace(costs=pulled(profile, fit.costs, spec.levers))
    if simulation is not None and simulation.speed_up != 1:
        fit = fit._replace(costs=sped_up(fit.costs, simulation.speed_up))
        notes.append(f'"{name}" is a simulated server: its times are divided by {simulation.speed_up:g} here too')
    if spec.pinned_batch_tokens not in (None, fit.costs.batch_tokens):
        notes.append(
            f'"{name}" has batch_tokens {spec.pinned_batch_tokens}, but the costs of a step are those of the profile, '
            f"with {fit.costs.batch_tokens}"
        )
    known = profile.memory.context_tokens
    if known is not None and spec.context_tokens > known:
        notes.append(
            f'"{name}" has a context of {spec.context_tokens} tokens, the profile was fitted with {known}: longer '
            "contexts are taken to cost on in the same way"
        )
    return fit._replace(notes=(*fit.notes, *notes))


def _other_model(profile: Profile, name: str, spec: ServerSpec, model: str, extrapolate: bool) -> tuple[str, ...]:
    """Return a note where a node asks for, or may ask for, another model than the profile, or raise UserError."""
    if spec.simulated:
        known, wanted, is_same = profile.name, spec.model, spec.model == profile.name
        mistake = f'server "{name}" plays profile "{wanted}", not "{known}"'
    elif profile.model_id is None:
        return (
            f'the model of profile "{profile.name}" ({profile.model}) is that of the workload; the profile has no '
            "`model_id` to compare",
        )
    else:
        known, wanted = profile.model_id, model_id(model)
        is_same = model_id(profile.model_id) == wanted
        mistake = f'profile "{profile.name}" was measured with model "{known}", server "{name}" uses "{wanted}"'
    if is_same:
        return ()
    if extrapolate:
        return (f'"{name}" uses {wanted}; its figures are extrapolated from {known}, which the profile measured',)
    raise UserError(f"{mistake}; calibrate with that one, or add --extrapolate, and the figures are marked")


def _side_by_side(profiles: Sequence[Profile]) -> Profile:
    """Return a profile with the contention of all: by each number of busy servers the largest, where all know it."""
    first, names = profiles[0], list(dict.fromkeys(profile.name for profile in profiles))
    if len(names) == 1:
        return first
    known = [profile.contention or {} for profile in profiles]
    common = [key for key in known[0] if all(key in other for other in known)]
    contention = {key: max(other[key] for other in known) for key in common}
    half = next((profile.half for profile in profiles if profile.half is not None), None)
    return first.model_copy(update={"name": " + ".join(names), "contention": contention or None, "half": half})


def _contexts(queue: _Queue) -> tuple[Context | None, ...]:
    contexts = [runner.context_tokens for runner in queue.runners]
    return tuple(None if tokens is None else Context(tokens, queue.spec.too_long) for tokens in contexts)


def _about_loads(queue: _Queue) -> list[str]:
    usual = queue.spec.usual_load_limit
    if queue.spec.running and queue.spec.load_limit is None and usual is not None:
        return [f'server "{queue.name}" keeps {usual} models loaded, as such a server does unless it is told otherwise']
    return []
