"""From a profile to server models, with everything that had to be assumed said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import exp
from statistics import NormalDist
from typing import Literal, NamedTuple

from harness.core.draws import uniform
from harness.core.machine import Machine, SharedServer
from harness.core.server_model import ServerModel
from harness.core.step_costs import PassCosts, RamCache, StepCosts
from harness.errors import UserError
from harness.profiles.schema import Profile, SlotSetting
from harness.profiles.values import RAM_CACHE_TOKENS
from harness.units import count

__all__ = ["ASSUMPTIONS", "Assumption", "Fitted", "compile_costs", "noise", "server_models", "stretch_of", "unknowns"]

NORMAL = NormalDist()
KEPT = 4096  # draws of a noise that are kept for the next candidate: as many as a trial of a search makes

Left = Sequence[tuple[int, int]]  # in the slots of one server
Threads = int | Literal["half"] | None  # as in a workload


class Assumption(NamedTuple):
    """A value that a profile does not know."""

    key: str  # of the slot setting
    value: float | None  # what is taken unless something else is given; None = it must be given
    about: str


class Fitted(NamedTuple):
    """The costs of one slot setting, and in words what of them is not from the profile."""

    costs: StepCosts
    notes: tuple[str, ...]
    extrapolated: bool
    noise: float | None = None  # relative standard deviation of a segment's cost
    half: bool = False  # of a server with half of the cores


# What a simulation takes for a value that is null. A free prompt would be wrong by half where prompts are long, and
# nothing in a profile tells its cost, so that one must be given.
ASSUMPTIONS = {
    item.key: item
    for item in (
        Assumption("prefill_s_per_token", None, "seconds per prompt token"),
        Assumption("prefill_batch_tokens", 512, "tokens in one step at most; Ollama sets 512"),
        Assumption("context_s_per_token", 0.0, "seconds that a token of context adds to a step"),
        Assumption("mixed_factor", 1.0, "factor on prompt tokens in a step in which others generate"),
        Assumption("before_s", 0.0, "overhead of a call before the queue"),
        Assumption("after_s", 0.0, "overhead of a call after its last token"),
        Assumption("gap_s", 0.0, "seconds between two calls in the queue that were sent together"),
    )
}


def unknowns(
    profile: Profile, slots: int, *, threads: Threads = None, extrapolate: bool = False
) -> tuple[Assumption, ...]:
    """Return what a simulation with this many slots has to assume or be given; see `compile_costs` for errors."""
    _, setting, _ = _setting(profile, slots, threads, extrapolate)
    return tuple(item for item in ASSUMPTIONS.values() if _value(setting, item.key) is None)


def compile_costs(
    profile: Profile,
    slots: int,
    *,
    threads: Threads = None,
    given: Mapping[str, float] | None = None,
    extrapolate: bool = False,
) -> Fitted:
    """Compile the costs of a server with this many slots.

    Args:
        profile: a loaded one.
        slots: of the server.
        threads: of the server, as in a workload; None = every core.
        given: values for what the profile does not know, by key of `ASSUMPTIONS`.
        extrapolate: derive a slot setting that the profile lacks from the nearest.

    Raises:
        UserError: the profile lacks the slot setting, or was made with other threads, or lacks a value that cannot be
            assumed and is not given; or a given value is unknown, known to the profile already, or negative.
    """
    given = dict(given or {})
    known_slots, setting, extrapolated = _setting(profile, slots, threads, extrapolate)
    notes = []
    if extrapolated:
        share = "" if profile.family(threads) else " and every core"
        notes.append(f"{_words(slots, threads)} are extrapolated from the profile's {known_slots}{share}")
    if threads is not None and profile.accelerator is not None and profile.half is None:
        notes.append(f"{_words(slots, threads)}: threads change nothing on {profile.accelerator}, which has no halves")
    values: dict[str, float] = {}
    for key, item in ASSUMPTIONS.items():
        value = _value(setting, key)
        if value is None and key in given:
            value = given.pop(key)
            if not 0 <= value < float("inf"):
                raise UserError(f"{key}: expected 0 or more, found {value:g}")
            notes.append(f"{key} = {value:g} is given, not fitted ({item.about})")
        elif value is None and item.value is not None:
            value = item.value
            notes.append(f"{key} = {value:g} is assumed ({item.about})")
        elif value is None:
            raise UserError(
                f'profile "{profile.name}" does not have {key} ({item.about}) with {known_slots} slots; '
                f"give it with --assume {key}=..."
            )
        values[key] = value
    for key in given:
        if key not in ASSUMPTIONS:
            raise UserError(f'cannot assume "{key}"; expected one of {", ".join(ASSUMPTIONS)}')
        raise UserError(f'profile "{profile.name}" has {key} with {known_slots} slots; leave the assumption out')
    if values["prefill_batch_tokens"] <= slots:
        raise UserError(
            f"prefill_batch_tokens: expected more than {slots} slots, found {values['prefill_batch_tokens']:g}"
        )
    costs = StepCosts(
        decode_s=_decode_s(setting, slots),
        prefill=_prefill(setting, values["prefill_s_per_token"]),
        prompt_step_s=setting.prompt_step_s,
        prompt_context_s=setting.prompt_context_s,
        context_s_per_token=values["context_s_per_token"],
        mixed_factor=values["mixed_factor"],
        batch_tokens=int(values["prefill_batch_tokens"]),
        before_s=values["before_s"],
        after_s=values["after_s"],
        gap_s=values["gap_s"],
        handover_s=setting.handover_s,
        tokenize_s_per_token=setting.tokenize_s_per_token,
        passes=_passes(setting, slots, int(values["prefill_batch_tokens"])),
        ram_cache=_ram_cache(setting),
    )
    half = threads is not None and profile.family(threads) is profile.half
    return Fitted(costs, tuple(notes), extrapolated, setting.noise, half)


def server_models(
    profile: Profile,
    costs: Sequence[StepCosts],
    *,
    noises: Sequence[Callable[[int], float] | None] | None = None,
    half: Sequence[bool] | None = None,
    left: Sequence[Left] | None = None,
) -> tuple[ServerModel | SharedServer, ...]:
    """Return fresh models of servers that stand on this one machine together.

    Args:
        profile: of the machine.
        costs: of each server.
        noises: of each server, see `noise`.
        half: whether each server has half of the cores (`Fitted.half`); None = not to be checked.
        left: what is in the slots of each, as `ServerModel.left` tells; None = nothing.

    Raises:
        UserError: there are two or more, and the profile does not know how they slow each other.
    """
    noises = noises or [None] * len(costs)
    found = left or [()] * len(costs)
    models = tuple(
        ServerModel(cost, noise=factor, left=before) for cost, factor, before in zip(costs, noises, found, strict=True)
    )
    if len(models) == 1:
        return models
    return Machine(models, stretch_of(profile, len(models), half)).servers


def stretch_of(profile: Profile, busy: int, half: Sequence[bool] | None = None) -> dict[int, float]:
    """Return the factors on every step by how many servers are busy, from two to `busy`.

    Args:
        profile: of their machine.
        busy: how many can be busy at the same time.
        half: whether each has half of the cores; None = not to be checked.

    Raises:
        UserError: the profile does not know it.
    """
    if busy < 2:
        return {}
    known = {int(key): factor for key, factor in (profile.contention or {}).items()}
    missing = [n for n in range(2, busy + 1) if n not in known]
    if missing:
        raise UserError(
            f'profile "{profile.name}" does not say how {missing[0]} busy servers on its machine slow each other '
            "(contention), so a candidate with several servers cannot be predicted; calibrate it, leave it out, or "
            "name their machines (`machine`) where they stand on several"
        )
    if half is not None and profile.half is not None and not all(half):
        raise UserError(
            f'the contention in profile "{profile.name}" is that of servers with half of the cores each; engines that '
            "all take every core slow each other far more: write `threads: half` on both, or leave the candidate out"
        )
    return known


def noise(relative_sd: float, seed: int, *key: int | str) -> Callable[[int], float]:
    """Return log-normal factors with mean 1 and this relative standard deviation, one for each segment.

    Pure functions of (seed, key, segment).
    """
    drawn = _normals(seed, *key)

    def factor(segment: int) -> float:
        z = drawn.get(segment)
        if z is None:
            z = NORMAL.inv_cdf(max(uniform(seed, *key, "noise", segment), 1e-12))
            if segment < KEPT:
                drawn[segment] = z
        return exp(relative_sd * z - relative_sd * relative_sd / 2)

    return factor


@lru_cache(maxsize=256, typed=True)
def _normals(seed: int, *key: int | str) -> dict[int, float]:
    """Return the draws of one noise by segment, as far as they have been made: candidates, and threads, share them."""
    return {}


def _value(setting: SlotSetting, key: str) -> float | None:
    if key == "prefill_s_per_token" and setting.prefill_table_s is not None:
        return 0.0  # the table says it
    value: float | None = getattr(setting, key)
    return value


def _words(slots: int, threads: Threads) -> str:
    if threads is None:
        return count(slots, "slot")
    return f"{count(slots, 'slot')} with {'half of the cores' if threads == 'half' else f'{threads} threads'}"


def _setting(profile: Profile, slots: int, threads: Threads, extrapolate: bool) -> tuple[int, SlotSetting, bool]:
    """Find the setting: the very one, else the next larger, else the largest."""
    family = profile.family(threads)
    if not family and extrapolate:
        family = profile.slots
    elif not family:
        raise UserError(
            f'profile "{profile.name}" was not made for {_words(slots, threads)}; calibrate with --pair for '
            "`threads: half`, or add --extrapolate, and the figures are marked"
        )
    if str(slots) in family:
        return slots, family[str(slots)], family is not profile.family(threads)
    if slots < 1:
        raise UserError(f"expected 1 slot or more, found {slots}")
    known = sorted(int(key) for key in family)
    if not extrapolate:
        shown = ", ".join(map(str, known))
        share = " on half of the cores" if family is profile.half else ""
        raise UserError(
            f'profile "{profile.name}" was made with {shown} slots{share}, not with {slots}; calibrate with {slots}, '
            "or add --extrapolate, and the figures are marked"
        )
    nearest = next((n for n in known if n > slots), known[-1])
    return nearest, family[str(nearest)], True


def _decode_s(setting: SlotSetting, slots: int) -> tuple[float, ...]:
    """Interpolate the step times; past the table its last line goes on, and never falls."""
    knots = sorted((int(key), s) for key, s in setting.step_s.items())
    times = [0.0]
    for b in range(1, slots + 1):
        above = next((i for i, (n, _) in enumerate(knots) if n >= b), None)
        if above is not None and knots[above][0] == b:
            times.append(knots[above][1])
            continue
        if len(knots) == 1:
            times.append(knots[0][1] * b)  # one known point: as if nothing was shared
            continue
        (n0, s0), (n1, s1) = (knots[-2], knots[-1]) if above is None else (knots[above - 1], knots[above])
        at_s = s0 + (s1 - s0) / (n1 - n0) * (b - n0)
        times.append(max(at_s, s1) if above is None else at_s)
    return tuple(times)


def _passes(setting: SlotSetting, slots: int, most_tokens: int) -> PassCosts | None:
    if setting.changed_s is None or setting.settle_s is None:
        return None

    def by_sequences(known: Mapping[str, float]) -> tuple[float, ...]:
        numbers = sorted(int(key) for key in known)
        return (0.0, *(known[str(max(m for m in numbers if m <= n))] for n in range(1, slots + 1)))

    return PassCosts(by_sequences(setting.changed_s), by_sequences(setting.settle_s), most_tokens, setting.kv_unified)


def _ram_cache(setting: SlotSetting) -> RamCache | None:
    if setting.save_s is None and setting.save_s_per_token is None:
        return None
    return RamCache(
        setting.save_s or 0.0, setting.save_s_per_token or 0.0, setting.ram_cache_tokens or RAM_CACHE_TOKENS
    )


def _prefill(setting: SlotSetting, per_token_s: float) -> tuple[tuple[int, float], ...]:
    if setting.prefill_table_s is None:
        return ((1, per_token_s),)
    return tuple(sorted((int(key), s) for key, s in setting.prefill_table_s.items()))
