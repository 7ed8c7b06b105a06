"""The model that embeds: one text after the other, whoever sent them; beside a model that answers, and swapped."""

from __future__ import annotations

import pytest

from harness.core.embedding import EmbeddingCosts, EmbeddingModel
from harness.core.machine import Machine
from harness.core.model_swaps import ModelRequest, ModelSwaps
from harness.core.server_model import ServerModel
from harness.core.server_request import Request
from harness.core.step_costs import StepCosts

COSTS = EmbeddingCosts(request_s=0.25, text_s=0.5, token_s=0.125)
CHAT = StepCosts(decode_s=(0.0, 0.25), prefill=((1, 0.25),))


class Texts(ModelRequest):
    __slots__ = ("texts",)

    def __init__(self, call: int, texts: int, tokens: int, model: int = 0) -> None:
        super().__init__(call, tokens, 1)
        self.texts, self.model, self.keep_s = texts, model, None


def ended(model: EmbeddingModel, until_s: float) -> list[tuple[int, float | None]]:
    return [(request.call, request.end_s) for request in model.advance(until_s)]


def test_the_texts_of_a_request_follow_each_other() -> None:
    model = EmbeddingModel(COSTS)
    model.submit(Texts(0, 3, 10), 0.0)
    assert model.next_s() == 0.5 + 3 * 0.125  # a text is a step: it has 3 of the 10 tokens
    assert ended(model, 10) == [(0, 3 * 0.5 + 10 * 0.125)]


def test_a_request_waits_for_all_texts_before_it() -> None:
    model = EmbeddingModel(COSTS)
    first, second = Texts(0, 2, 8), Texts(1, 1, 4)
    model.submit(first, 0.0)
    model.advance(0.1)
    model.submit(second, 0.1)
    assert ended(model, 10) == [(0, 2.0), (1, 3.0)]
    assert (second.queued_s, second.prompt_s) == (0.1, 2.0)


def test_one_that_is_given_up_is_gone_after_the_text_that_is_embedded() -> None:
    model = EmbeddingModel(COSTS)
    first, second = Texts(0, 4, 16), Texts(1, 1, 4)
    model.submit(first, 0.0)
    model.submit(second, 0.0)
    model.advance(1.5)
    assert not model.cancel(first, 1.5)
    assert ended(model, 10) == [(0, 2.0), (1, 3.0)]
    assert first.cancelled


@pytest.mark.parametrize(("texts", "tokens"), [(1, 1), (5, 5), (7, 100), (16, 17), (3, 1000)])
def test_every_token_is_embedded_once(texts: int, tokens: int) -> None:
    model = EmbeddingModel(EmbeddingCosts(0.0, 1.0, 1.0))
    model.submit(Texts(0, texts, tokens), 0.0)
    assert ended(model, 1e6) == [(0, texts + tokens)]


def test_it_slows_a_model_that_answers_and_is_slowed() -> None:
    machine = Machine([ServerModel(CHAT), EmbeddingModel(COSTS)], {2: 2.0})
    chat, embedding = machine.servers
    answer, request = Request(0, 2, 3), Texts(1, 1, 4)
    chat.submit(answer, 0.0)
    embedding.submit(request, 0.0)
    machine.advance(10)
    assert request.end_s == 2.0  # twice its second
    assert answer.end_s == pytest.approx(0.5 + 2 * 0.25 + 1.0)  # slowed while it was embedded: a second of work in two


def test_swapped_each_load_is_waited_for() -> None:
    swaps = ModelSwaps([ServerModel(CHAT), EmbeddingModel(COSTS)], load_s=(3.0, 1.0), most_loaded=1)
    answer, request = ModelRequest(0, 2, 3), Texts(1, 1, 4, model=1)
    answer.model, answer.keep_s = 0, None
    swaps.submit(answer, 0.0)
    swaps.submit(request, 0.0)
    found = {}
    for _ in range(2):
        for one in swaps.run(100.0):
            found[one.call] = one.end_s
    assert found == {0: 1.0, 1: 1.0 + 1.0 + 1.0}  # the answer, then the load, then the text
    assert request.load_s == 2.0


def test_costs() -> None:
    assert COSTS.alone_s(3, 10) == 0.25 + 1.5 + 1.25
    assert COSTS.sped_up(2) == EmbeddingCosts(0.125, 0.25, 0.0625)
