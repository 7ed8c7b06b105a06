"""What a profile knows of an engine's levers (`harness.core.levers`), and so what a prediction can say of them."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.levers import LEVERS, Levers, with_levers
from harness.core.step_costs import StepCosts
from harness.errors import UserError
from harness.profiles.schema import Profile

__all__ = ["as_made", "known_levers", "lever_notes", "pulled"]


def as_made(profile: Profile, costs: StepCosts) -> dict[str, str]:
    """Return the levers that the profile's server is known to have had, by name.

    A RAM cache is on where its copies were found to cost something, and on every Ollama of which nothing else is said;
    the embedded engine has none unless it is asked for.
    """
    unified = costs.passes is not None and costs.passes.unified
    found = {"kv_unified": "on" if unified else "off"}
    engine = profile.engine.lower()
    if costs.ram_cache is not None or engine.startswith("ollama"):
        found["ram_cache"] = "on"
    elif engine.startswith("xllamacpp"):
        found["ram_cache"] = "off"
    if engine.startswith("xllamacpp"):  # nobody calibrates it with; an Ollama's model may have a draft of its own
        found["speculation"] = "off"
    return found


def known_levers(profile: Profile, costs: StepCosts) -> dict[str, str]:
    """Return what the effect is known of, beside how the profile was made: other values, by the lever's name."""
    found = {}
    if costs.ram_cache is not None:
        found["ram_cache"] = "off"
    if costs.passes is not None and costs.slots > 1:  # one slot has one cache either way
        found["kv_unified"] = "off" if costs.passes.unified else "on"
    return found


def pulled(profile: Profile, costs: StepCosts, levers: Mapping[str, str]) -> StepCosts:
    """Return the costs of a server that is started with these levers.

    Args:
        profile: whose costs they are.
        costs: compiled from it, as it was made.
        levers: of the server; those that it does not name are as the profile was made.

    Raises:
        UserError: the profile does not know the effect of one.
    """
    made, known = as_made(profile, costs), known_levers(profile, costs)
    effects: dict[str, bool] = {}
    for name, value in levers.items():
        if made.get(name) == value or (name == "kv_unified" and costs.slots == 1):
            continue
        if name == "ram_cache" and value == "off" and costs.ram_cache is None:
            continue  # there is nothing to take out; `lever_notes` says so
        if known.get(name) != value:
            raise UserError(
                f'profile "{profile.name}" does not know what {name} {value} changes '
                f"({LEVERS[name].clause(value)}); measure it (slotwise run), or leave the lever out"
            )
        effects[name] = value == "on"
    return with_levers(costs, Levers(**effects))


def lever_notes(profile: Profile, costs: StepCosts, levers: Mapping[str, str], server: str) -> tuple[str, ...]:
    """Return what is taken for granted of a server that is started with these levers, by its name."""
    was_off = as_made(profile, costs).get("ram_cache") == "off"
    if costs.ram_cache is None and levers.get("ram_cache") == "off" and not was_off:
        return (
            f'profile "{profile.name}" has no cost of a RAM prompt cache: without it "{server}" is predicted to be as '
            "fast as with it",
        )
    return ()
