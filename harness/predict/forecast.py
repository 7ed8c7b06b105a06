"""How long the calls of a workload will be, as far as that is known before any is made."""

from __future__ import annotations

from collections.abc import Callable

from harness.drivers.modelled import Tokens
from harness.predict.counting import Characters, Counting, FittedText
from harness.predict.lengths import Lengths
from harness.predict.sizes import Sizes, Steady
from harness.profiles.schema import Profile, TextTokens
from harness.units import percent
from harness.workload.load import Loaded

__all__ = ["TokensOf", "forecast", "forecast_assumes"]

# The token counts of one repeat: (candidate, repeat) -> call -> (prompt tokens, output tokens).
TokensOf = Callable[[str, int], Tokens | Sizes]


def forecast(
    loaded: Loaded,
    text: TextTokens | None,
    answers: float = 1.0,
    found_again: bool = False,
    embedded: TextTokens | None = None,
) -> TokensOf:
    """Return the lengths that a run would have, as far as they are known beforehand.

    Prompts by their text, made-up documents and answers as they are drawn in a run of the same seed, every answer as
    long as it may be.

    Args:
        loaded: the workload.
        text: of the profile; None = a token is four characters, as simulated servers count in any case.
        answers: factor on the length of every answer.
        found_again: only what is new counts where a server may keep what was said before, as in a perfect cache.
        found_again: pipelines of whose conversations only what is new in a turn counts.
        embedded: as `text`, of texts that are embedded.
    """
    fitted = Lengths(loaded, _counting(text), Lengths(loaded, _counting(embedded)))
    unnumbered = Lengths(loaded, Characters(simulated=True, numbered=False))
    simulated = Lengths(loaded, Characters(simulated=True), unnumbered)
    by_plan = {
        plan.name: [simulated if loaded.servers[queue.server].simulated else fitted for queue in plan.queues]
        for plan in loaded.plans
    }
    steady: dict[str, Steady] = {plan.name: Steady({}, {}) for plan in loaded.plans}
    return lambda candidate, repeat: Sizes(by_plan[candidate], repeat, steady[candidate], answers, found_again)


def _counting(text: TextTokens | None) -> Counting:
    return Characters(simulated=False) if text is None else FittedText(text)


def forecast_assumes(loaded: Loaded, profile: Profile, embedded: TextTokens | None = None) -> tuple[str, ...]:
    """Return what a forecast of the lengths takes for granted, a sentence each without its full stop."""
    notes = []
    simulated = [spec.simulated for spec in loaded.servers.values()]
    if profile.text is None and not all(simulated):
        notes.append(
            f'a token is four characters of prompt, and the chat template adds none (profile "{profile.name}" does not '
            "know; short prompts come out a quarter too short)"
        )
    elif profile.text is not None and not all(simulated):
        error = profile.text.held_out
        notes.append(
            f"prompts have the tokens that their words, digits and punctuation had in calibration (off by "
            f"{percent(error.median_error)}, {percent(error.worst_error)} at worst, on texts that were not fitted)"
        )
    if loaded.embedding_models and embedded is None and not all(simulated):
        notes.append("a token is four characters of a text that is embedded (no profile knows better)")
    free = sum(not agent.exact_output for agent in loaded.agents.values())
    if free or not all(spec.pins_output for spec in loaded.servers.values()):
        notes.append("every answer is as long as it may be (output_tokens); a model that stops before that is quicker")
    if any(agent.think for agent in loaded.agents.values()):
        notes.append("every model thinks for as long as `thinking_tokens` says, whatever it is asked")
    return tuple(notes)
