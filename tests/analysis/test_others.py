"""Waits on a server that a run's own calls do not explain: found with others there, never with our calls alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from analysis import records as make
from hypothesis import given
from hypothesis import strategies as st
from predict.paper import PROFILE, knowing

from harness.analysis.others import NOISE_S, waits_for_others
from harness.core.records import CallRecord
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.runs.model import Baseline
from harness.workload.load import load_workload

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(ROOT.glob("workloads/*.yaml"))
BASELINE = Baseline(0.015625, 0.0, 5)


def residual(call: CallRecord, base: float = BASELINE.residual_s) -> CallRecord:
    """As an everyday Ollama tells it: the wait is in the total, and in no field of its own."""
    total_s = call.reply.total_s
    return call._replace(reply=call.reply._replace(queue_s=None, total_s=None if total_s is None else total_s + base))


def waits(calls: Sequence[CallRecord], slots: int | None = 1, base: Baseline | None = BASELINE) -> list[float]:
    return [waited.others_s for waited in waits_for_others(calls, slots, base)]


def alone(**parts: Any) -> CallRecord:
    return make.call(tell_queue=False, overhead=BASELINE.residual_s, **parts)


def test_alone_and_yet_it_waited() -> None:
    # The wait of 2 s, less what may be ours: a prompt that is put aside, a step, the overhead of a call, noise.
    own_s = 2 * BASELINE.residual_s + 0.25 + 1 / 32 + NOISE_S
    assert waits([alone(queue=2.0)], slots=2) == pytest.approx([2.0 - own_s])
    assert waits([alone(queue=2.0)], slots=1) == pytest.approx([2.0 - 2 * own_s])  # set up in its slot for so long
    assert waits([alone(queue=0.25)]) == []
    assert waits([alone(queue=2.0)], base=None) == []  # what it costs to ask is not known
    own_s = 0.25 + 1 / 32 + NOISE_S
    assert waits([make.call(queue=2.0)], slots=2, base=None) == pytest.approx([2.0 - own_s])  # the server tells it
    assert waits([make.call(queue=2.0, client=0.5)], slots=2, base=None) == pytest.approx([1.5 - own_s])


def test_our_own_queue_explains_a_wait() -> None:
    first, second = alone(decode=2.0), alone(queue=2.0 + 0.25 + BASELINE.residual_s, item=1)
    assert waits([first, second], slots=1) == []
    assert waits([first, second], slots=None) == []
    # With a free slot it would have had to wait for the first one's prompt and a step.
    found = waits([first, second], slots=2)
    own_s = 2 * BASELINE.residual_s + 0.25 + 1 / 32 + NOISE_S
    assert found == pytest.approx([2.0 - 2 * own_s], abs=5 * BASELINE.residual_s)  # and it may set its own slot up


def test_a_slot_that_none_of_ours_had_between_two_of_ours() -> None:
    """All slots have calls of ours before them; and yet the server was somebody else's for four seconds."""
    first, second = alone(decode=2.0), alone(queue=2.25 + 4.0, item=1)
    third = alone(queue=2.25 + 4.0 + 1.25, item=2)
    assert len(waits([first, second, third], slots=1)) == 2


def test_a_prompt_of_ours_shares_the_step() -> None:
    reading, late = alone(prefill=2.0, decode=1.0), alone(queue=2.0, item=1)
    assert waits([reading, late], slots=4) == []


def test_what_was_given_up_may_still_be_there() -> None:
    lost = make.call(outcome="timeout", decode=0.5)
    late = alone(ready=4.0, queue=5.0, item=1)
    assert waits([lost, late], slots=1) == []
    assert waits([late], slots=1)
    assert waits([make.call(outcome="rejected"), late], slots=1)  # that one has never begun


def test_a_load_is_no_wait_for_others() -> None:
    assert waits([alone(load=4.0)]) == []
    assert waits([alone(queue=3.0, load=4.0)]) == []
    other = alone(item=1, decode=6.0)._replace(model="another")  # has slots of its own, but may need the room
    assert waits([alone(queue=3.0), other], slots=4) == []


def test_a_baseline_that_others_disturbed_hides_no_more_than_an_overhead() -> None:
    (others_s,) = waits([alone(queue=9.0)], slots=2, base=Baseline(5.0, 0.0, 5))
    assert others_s == pytest.approx(9 + BASELINE.residual_s - 3 * 0.5 - 0.25 - 1 / 32 - NOISE_S)


@st.composite
def own_calls(draw: st.DrawFn) -> list[CallRecord]:
    eighths = st.integers(0, 40).map(lambda n: n / 8)
    return [
        alone(
            item=item, ready=draw(eighths), queue=draw(eighths), prefill=draw(eighths), decode=draw(eighths),
            outcome=draw(st.sampled_from(["ok", "ok", "ok", "cancelled", "rejected"])), tokens=draw(st.integers(1, 9)),
        )
        for item in range(draw(st.integers(1, 8)))
    ]  # fmt: skip


@given(own_calls(), own_calls(), st.integers(1, 4))
def test_more_calls_of_ours_never_raise_an_alarm(calls: list[CallRecord], more: list[CallRecord], slots: int) -> None:
    more = [call._replace(item=call.item + 100) for call in more]
    before = {waited.call.item: waited.others_s for waited in waits_for_others(calls, slots, BASELINE)}
    after = {waited.call.item: waited.others_s for waited in waits_for_others(calls + more, slots, BASELINE)}
    for item, others_s in after.items():
        if item < 100:
            assert others_s <= before[item] + 1e-9


@pytest.mark.parametrize("profile", ["epyc-2core", "h100-8b"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_shipped_workload_raises_an_alarm_by_itself(path: Path, profile: str) -> None:
    loaded = load_workload(path)
    known = knowing(load_profile(profile, path.parent), loaded)
    models = dict.fromkeys(model for asked in loaded.models.values() for model in asked)
    several = len(models) > 1 and not loaded.embedding_models
    by_model = dict.fromkeys(models, known) if several else None
    load = {"load_s": 2.0} if several else None
    run = predict(loaded, known, repeats=2, extrapolate=True, by_model=by_model, given=load).run
    slots = {queue.server: queue.slots for plan in run.plans for queue in plan.queues}
    trials: dict[tuple[str, int, str], list[CallRecord]] = defaultdict(list)
    for call in run.calls:
        trials[call.candidate, call.repeat, call.server].append(call)
    assert trials
    for (_, _, server), calls in trials.items():
        assert waits(calls, slots[server], None) == []
        assert waits([residual(call) for call in calls], slots[server]) == []


SHARED = """
version: 1
name: shared
pipelines:
  ours:
    path: batch
    jobs: 12
    arrival: {closed: CLOSED}
    nodes: {write: {agent: {prompt: "TEXT", output_tokens: 9}}}
  theirs:
    path: batch
    jobs: 6
    arrival: {closed: 4}
    nodes: {write: {agent: {prompt: "TEXT", output_tokens: 33}}}
servers: {s: {kind: llamacpp, slots: SLOTS}}
compare: {c: {placement: s, concurrency: unbounded}}
measure: {repeats: 2, warmup: 0}
""".replace("TEXT", "0123456789abcdef" * 4)


@pytest.mark.parametrize(("slots", "closed"), [(1, 1), (1, 3), (2, 1), (2, 2)])
def test_another_client_of_a_known_load_is_found(slots: int, closed: int, tmp_path: Path) -> None:
    """Both share a simulated server; what the other client did is then taken out of the records."""
    path = tmp_path / "w.yaml"
    path.write_text(SHARED.replace("SLOTS", str(slots)).replace("CLOSED", str(closed)), encoding="utf-8")
    (tmp_path / "p.yaml").write_text(PROFILE, encoding="utf-8")
    run = predict(load_workload(path), load_profile(str(tmp_path / "p.yaml")), repeats=2).run
    for repeat in range(2):
        both = [call for call in run.calls if call.repeat == repeat]
        ours = [call for call in both if call.pipeline == "ours"]
        assert waits(both, slots, None) == []
        found = waits_for_others(ours, slots, None)
        theirs_s = sum((c.reply.prefill_s or 0) + (c.reply.decode_s or 0) for c in both if c.pipeline == "theirs")
        assert found
        for waited in found:  # at least: never more than it waited, nor than the other client had the server
            assert waited.others_s <= min(waited.call.reply.queue_s or 0.0, theirs_s)
