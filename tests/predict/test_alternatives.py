"""Two ways to do the same, one after the other, are compared on the same work."""

from __future__ import annotations

from harness.content import shipped
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.workload.load import load_workload


def test_a_pipeline_that_comes_after_another_faces_the_same_draws() -> None:
    """Answers of drawn length are equally long in both ways to do the same, item by item."""
    path = shipped() / "workloads" / "best-of-three.yaml"
    run = predict(load_workload(path), load_profile("epyc-2core", path.parent), repeats=2, extrapolate=True).run
    lengths: dict[str, dict[tuple[object, ...], int | None]] = {"all-three": {}, "first-two": {}}
    for call in run.calls:
        if call.outcome == "ok":
            key = (call.candidate, call.repeat, call.job, call.node, call.item)
            lengths[call.pipeline][key] = call.reply.output_tokens
    first, second = lengths["all-three"], lengths["first-two"]
    assert len(set(first.values())) > 5
    assert second and all(first[key] == tokens for key, tokens in second.items())
