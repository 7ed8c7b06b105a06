"""Loads on a server with several models."""

from __future__ import annotations

from typing import Any

import pytest
from analysis.records import call

from harness.analysis.swaps import Swaps, swaps_of
from harness.core.records import CallRecord
from harness.runs.model import Baseline

BASELINES = {"one-slot": Baseline(0.004, 0.002, 5)}


def asked(model: str, load: float, **more: Any) -> CallRecord:
    return call(load=load, tell_queue=False, **more)._replace(model=model)


def test_loads_are_counted_where_two_models_are_asked_for() -> None:
    calls = [
        asked("a", 0.001),
        asked("b", 2.0),
        asked("a", 1.0),
        asked("b", 4.0),
        asked("a", 0.3),
        asked("b", 9.0, outcome="error"),
    ]
    assert swaps_of(calls, BASELINES) == (Swaps("one-slot", 2, 5, 3, 2.0, 7.0),)


def test_a_predicted_load_is_exact() -> None:
    calls = [asked("a", 0.25, origin="predicted"), asked("b", 0.0, origin="predicted")]
    assert swaps_of(calls, {}) == (Swaps("one-slot", 2, 2, 1, 0.25, 0.25),)


@pytest.mark.parametrize("models", [("a", "a"), ("", "")])
def test_one_model_swaps_with_nobody(models: tuple[str, str]) -> None:
    assert swaps_of([asked(model, 2.0) for model in models], BASELINES) == ()


def test_each_server_has_its_own() -> None:
    calls = [
        asked("a", 2.0, server="y"),
        asked("b", 0.0, server="y"),
        asked("a", 2.0, server="x"),
        asked("b", 2.0, server="x"),
    ]
    assert [(swaps.server, swaps.waited) for swaps in swaps_of(calls, {})] == [("x", 2), ("y", 1)]
