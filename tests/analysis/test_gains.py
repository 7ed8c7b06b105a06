"""The answer to concurrency levels is by level: slots gain at some and cost at others."""

from __future__ import annotations

import re

from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.gains import gains_of
from harness.content import shipped
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.wording.gains import gains_text
from harness.wording.said import said
from harness.workload.load import load_workload


def test_each_level_names_its_fastest_against_the_simplest() -> None:
    times = {"serial": steady(16), "batched": steady(12)}
    candidates = analyse(scenario(times, {"serial": steady(2.0), "batched": steady(2.5)})).candidates
    gains = gains_of(candidates)
    assert gains is not None
    assert gains_text(gains) == (
        'Gain of more slots over "serial": digest: "batched" takes 0.75 times (uncertainty unknown); chat: nothing.'
    )
    assert gains_of(candidates[:1]) is None


def test_the_shipped_levels_are_answered_by_level_and_not_as_alternatives() -> None:
    path = shipped() / "workloads" / "concurrency-ladder.yaml"
    profile = load_profile("epyc-2core", path.parent)
    found = analyse(predict(load_workload(path), profile, repeats=3, extrapolate=True).run)
    assert found.levels
    text = said(found).choice[-1]
    assert re.match(r'Gain of more slots over "serial": at-once-1[^:]*: nothing; .*at-once-8: "\w+" takes 0\.', text)
    assert not any(verdict.sequels for verdict in found.paths)
