"""The fit of prompt tokens: known numbers come back, and its error is that of prompts that it has not seen."""

from __future__ import annotations

import pytest

from harness.measure.texts import PROMPTS, TALKS
from harness.profiles.text import Counted, fit_text
from harness.workload.prompts import Wording


def counted(
    per_piece: float, per_letter: float, template: float, with_system: float, turn: float | None = None
) -> list[Counted]:
    result = []
    for system, turns, user in TALKS if turn is not None else ():
        text = " ".join([*(said for each in turns for said in each), *([] if system is None else [system]), user])
        pieces, letters = Wording.of(text)
        tokens = per_piece * pieces + per_letter * letters + (template if system is None else with_system)
        result.append(Counted(text, system is not None, round(1000 * (tokens + len(turns) * (turn or 0))), len(turns)))
    for system, user in PROMPTS:
        text = user if system is None else f"{system} {user}"
        pieces, letters = Wording.of(text)
        tokens = per_piece * pieces + per_letter * letters + (template if system is None else with_system)
        result.append(Counted(text, system is not None, round(1000 * tokens)))
    return result


def test_known_numbers_come_back() -> None:
    fit = fit_text(counted(1.125, 0.25, 31.5, 12.0))
    found = (fit.tokens_per_piece, fit.tokens_per_long_letter, fit.template_tokens, fit.system_template_tokens)
    assert found == pytest.approx((1125, 250, 31500, 12000), rel=1e-3)
    assert fit.held_out.calls == len(PROMPTS)
    assert fit.held_out.worst_error < 1e-4


def test_what_the_template_adds_for_every_turn_comes_back() -> None:
    fit = fit_text(counted(1.125, 0.25, 31.5, 12.0, turn=11.0))
    assert fit.turn_template_tokens == pytest.approx(11000, rel=1e-3)
    assert fit.of_turn == fit.turn_template_tokens
    assert (fit.template_tokens, fit.system_template_tokens) == pytest.approx((31500, 12000), rel=1e-3)


def test_a_turn_that_was_not_counted_is_taken_from_the_system_message() -> None:
    fit = fit_text(counted(0.001, 0.0, 0.038, 0.022))  # the counts are in thousandths
    assert fit.turn_template_tokens is None
    assert fit.of_turn == pytest.approx(22 - 8, abs=0.1)  # "[000000]" is eight pieces


def test_nothing_is_negative() -> None:
    fit = fit_text(counted(1.5, -0.25, 20.0, 10.0))
    assert fit.tokens_per_long_letter == 0
    assert fit.tokens_per_piece > 1
    assert fit.held_out.worst_error > 0.01


def test_the_error_is_that_of_a_prompt_that_was_not_fitted() -> None:
    known = counted(1.0, 0.25, 20.0, 10.0)
    odd = [known[0]._replace(tokens=2 * known[0].tokens), *known[1:]]
    assert fit_text(odd).held_out.worst_error > 0.4  # fitted with the others it would hide some of it


def test_too_few_prompts() -> None:
    known = counted(1.0, 0.25, 20.0, 10.0)
    with pytest.raises(ValueError, match="three prompts with and three without system message, found 6 in all"):
        fit_text([one for one in known if not one.system])


def test_prompts_fit_into_the_smallest_context() -> None:
    for system, user in PROMPTS:
        assert Wording.of(f"{system} {user}").pieces < 150
    for system, turns, user in TALKS:
        assert Wording.of(f"{system} {turns} {user}").pieces + 12 * len(turns) < 250
