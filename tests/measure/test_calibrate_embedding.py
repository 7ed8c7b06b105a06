"""What embedding costs, measured on a simulated server on a virtual clock: its costs come back."""

from __future__ import annotations

import asyncio
from math import exp, log
from pathlib import Path

import pytest
from conftest import VirtualLoop
from predict import paper
from predict.emulated import close, endpoint_of, with_embedding
from quiet import Quiet

from harness.app.calibrate import calibrate
from harness.app.options import CalibrateOptions
from harness.core.embedding import EmbeddingCosts
from harness.errors import UserError
from harness.measure.embedding import MeasuredEmbedding, measure_embedding
from harness.profiles.embedding import EmbeddingSeen, fit_embedding, fit_stretch
from harness.workload.schema import SimulatedServer


def measured(folder: Path, stretch: float) -> MeasuredEmbedding:
    path = with_embedding(paper.PROFILE, "vectors", folder, stretch=stretch)
    spec = SimulatedServer(kind="simulated", profile=path, slots=2)

    async def measure(loop: asyncio.AbstractEventLoop) -> MeasuredEmbedding:
        endpoint = endpoint_of(loop, "it", spec)
        found = await measure_embedding(endpoint, "vectors", 3, Quiet())
        await close(endpoint)
        return found

    loop = VirtualLoop()
    try:
        return loop.run_until_complete(measure(loop))
    finally:
        loop.close()


def test_known_costs_come_back(tmp_path: Path) -> None:
    found = measured(tmp_path, stretch=1.5).embedding
    assert (found.model, found.load_s) == ("vectors", None)
    assert found.text_s == pytest.approx(0.0078125, rel=1e-4)
    assert found.token_s == pytest.approx(0.001953125, rel=1e-4)
    assert found.request_s < 1e-6
    assert found.stretch == pytest.approx(1.5, rel=0.02)
    assert found.held_out is not None and found.held_out.worst_error < 1e-4
    assert found.text is not None and found.text.held_out.calls == 12


def test_the_note_says_what_the_stretch_is_between(tmp_path: Path) -> None:
    found = measured(tmp_path, stretch=2.0)
    assert found.note.startswith(
        "Embedding with vectors beside an answer: the answer took 2.00 times as long, the texts 2.00 times"
    )
    assert found.embedding.standard_error["stretch"] < 0.01


def test_two_sides_that_differ_make_the_stretch_unsure() -> None:
    found = fit_stretch([8.0, 8.0], [2.0, 2.0])
    assert found == pytest.approx((8.0, 2.0, log(4) / 2), abs=1e-3) and found.stretch == pytest.approx(4.0)
    spread = fit_stretch([1.0, exp(2)], [exp(1), exp(1)])  # the sides agree, and one of them is not steady
    assert spread.standard_error == pytest.approx(0.5)


def seen(costs: EmbeddingCosts, kinds: tuple[tuple[int, int], ...], *, fitted: bool = True) -> list[EmbeddingSeen]:
    return [
        EmbeddingSeen(f"{texts}x{tokens}", texts, tokens, costs.alone_s(texts, tokens), fitted)
        for texts, tokens in kinds
        for _ in range(3)
    ]


KINDS = ((1, 10), (1, 100), (8, 80), (8, 800))


@pytest.mark.parametrize("costs", [EmbeddingCosts(0.25, 0.5, 0.125), EmbeddingCosts(0.0, 0.5, 0.125)])
def test_requests_texts_and_tokens_are_told_apart(costs: EmbeddingCosts) -> None:
    found = fit_embedding([*seen(costs, KINDS), *seen(costs, ((4, 160),), fitted=False)])
    assert found.costs == pytest.approx(costs, abs=1e-6)
    assert found.held_out is not None and (found.held_out.calls, found.held_out.worst_error < 1e-5) == (3, True)


def test_one_hiccup_of_many_changes_nothing() -> None:
    costs = EmbeddingCosts(0.25, 0.5, 0.125)
    all_seen = seen(costs, KINDS)
    found = fit_embedding([all_seen[0]._replace(wall_s=9.0), *all_seen[1:]])
    assert found.costs == pytest.approx(costs, abs=1e-6) and found.held_out is None
    assert found.standard_error["request_s"] > 0


def test_too_few_kinds_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="expected 3 kinds of request or more, found 2"):
        fit_embedding(seen(EmbeddingCosts(1, 1, 1), KINDS[:2]))


def test_the_embedded_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--embed: the embedded engine has no embedding models"):
        calibrate("llamacpp", CalibrateOptions(embed="vectors", out=tmp_path / "p.yaml"), Quiet())
