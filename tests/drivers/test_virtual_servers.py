"""The virtual driver on server models: every part of a call's time, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from core.by_step import Given, reference
from core.graphs import DIAMOND, FAN, SINGLE, node, pipeline, plan_of, queue_of

from harness.core.arrival_processes import Closed, Listed
from harness.core.context import Context
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Pipeline
from harness.core.machine import Machine
from harness.core.plan import ServerQueue
from harness.core.records import CallRecord, JobRecord
from harness.core.server_model import ServerModel
from harness.core.server_request import Request
from harness.core.sizes import fixed
from harness.core.step_costs import StepCosts
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import CannotEnd, Limits, simulate

COSTS = StepCosts(decode_s=(0.0, 1.0, 1.5), prefill=((1, 0.25),))


def run(
    *pipelines: Pipeline,
    queues: tuple[ServerQueue, ...] = (queue_of("one", 2, concurrency="unbounded"),),
    placement: tuple[int, ...] | None = None,
    servers: list[ModelledServer] | None = None,
    timeout_s: float | None = None,
    limits: Limits | None = None,
    seed: int = 0,
    **queue: Any,
) -> tuple[list[CallRecord], list[JobRecord]]:
    """Four prompt and three output tokens in every call: 1 s of prefill, 2 s of decoding when alone."""
    calls: list[CallRecord] = []
    jobs: list[JobRecord] = []

    def keep(record: object) -> None:
        if isinstance(record, CallRecord):
            calls.append(record)
        elif isinstance(record, JobRecord):
            jobs.append(record)

    engine = Engine(pipelines, plan_of("v", queues, pipelines, placement), origin="predicted", timeout_s=timeout_s)
    backend = ModelledServers(servers or [ModelledServer(ServerModel(COSTS), **queue)], lambda call: (4, 3), seed=seed)
    simulate(engine, backend, keep, limits)
    return calls, jobs


def at(*due_s: float) -> Pipeline:
    return pipeline("p", *SINGLE, jobs=len(due_s), arrival=Listed(due_s))


def test_every_part_of_the_time_is_known_exactly() -> None:
    (one, two, three), _ = run(at(0.0, 0.0, 0.5))
    first = one.reply
    assert (first.sent_s, first.first_token_s, first.end_s) == (0.0, 2.0, 5.0)
    assert (first.total_s, first.load_s, first.queue_s, first.prefill_s, first.decode_s) == (5.0, 0.0, 0.0, 2.0, 3.0)
    assert (first.prompt_tokens, first.output_tokens, first.done_reason) == (4, 3, "length")
    assert two.reply == first  # both prompts share the first step
    waited = three.reply
    assert (waited.sent_s, waited.queue_s, waited.first_token_s, waited.end_s) == (0.5, 4.5, 6.0, 8.0)
    assert {call.origin for call in (one, two, three)} == {"predicted"}


def test_overheads_lie_outside_the_server() -> None:
    (call,), (job,) = run(at(1.0), before_s=0.25, after_s=0.5)
    reply = call.reply
    assert (reply.sent_s, reply.first_token_s, reply.end_s) == (1.0, 2.75, 4.75)
    assert (reply.total_s, reply.prefill_s, reply.decode_s, reply.queue_s) == (3.0, 1.0, 2.0, 0.0)
    assert call.client_s == 0.75
    assert job.end_s == 4.75


def test_calls_of_one_instant_come_apart_in_an_order_of_chance() -> None:
    """The first one's prompt makes a step of its own, the second's is in the next; a call alone is not late."""
    firsts = set()
    for seed in range(12):
        calls, _ = run(at(0.0, 0.0, 9.0), seed=seed, gap_s=0.125, before_s=0.25)
        one, two = sorted(calls[:2], key=lambda call: call.reply.first_token_s or 0.0)
        firsts.add(one.call)
        assert [call.reply.sent_s for call in calls] == [0.0, 0.0, 9.0]
        # comes at 0.25: prompt until 1.25, then a step of 1 + 1 s with the other's prompt, then one of 1.5 s
        assert (one.reply.first_token_s, one.reply.end_s, one.reply.total_s) == (1.25, 4.75, 4.5)
        assert (two.reply.queue_s, two.reply.first_token_s, two.reply.end_s) == (0.875, 3.25, 5.75)
        assert (calls[2].reply.first_token_s, calls[2].reply.end_s) == (10.25, 12.25)
    assert firsts == {0, 1}


def test_a_call_given_up_before_it_comes_is_not_served() -> None:
    calls, _ = run(at(0.0, 0.0, 0.0), timeout_s=0.5, gap_s=1.0)
    assert sorted((c.outcome, c.reply.end_s) for c in calls) == [("timeout", 0.5), ("timeout", 0.5), ("timeout", 1.0)]


def test_a_paced_server_lets_one_call_go_at_a_time() -> None:
    calls, _ = run(at(0.0, 0.0, 0.0, 9.0), starts_per_s=0.5)
    assert [c.reply.sent_s for c in calls] == [0.0, 2.0, 4.0, 9.0]
    assert [c.throttle_wait_s for c in calls] == [0.0, 2.0, 4.0, 0.0]


def test_a_timeout_ends_a_call_wherever_it_is() -> None:
    """Generating (let go at the end of its step), queued, held by the pace, on its way there and back."""
    (call,), _ = run(at(0.0), timeout_s=1.5)
    assert (call.outcome, call.reply.first_token_s, call.reply.end_s) == ("timeout", 1.0, 2.0)
    calls, _ = run(at(0.0, 0.0, 0.0), timeout_s=4.25)
    assert [(c.call, c.outcome, c.reply.sent_s, c.reply.end_s) for c in calls] == [
        (2, "timeout", 0.0, 4.25),  # was queued
        (0, "ok", 0.0, 5.0),  # the step in which they were given up was their last
        (1, "ok", 0.0, 5.0),
    ]
    calls, _ = run(at(0.0, 0.0), timeout_s=3.5, starts_per_s=0.125)
    assert [(c.call, c.outcome, c.reply.sent_s, c.reply.end_s) for c in calls] == [
        (0, "ok", 0.0, 3.0),
        (1, "timeout", None, 3.5),
    ]
    (there,), _ = run(at(0.0), timeout_s=1.0, before_s=2.0)
    assert (there.outcome, there.reply.sent_s, there.reply.end_s) == ("timeout", 0.0, 1.0)
    (back,), _ = run(at(0.0), timeout_s=4.0, after_s=2.0)
    assert (back.outcome, back.reply.end_s) == ("timeout", 4.0)


def test_after_a_timeout_the_slot_serves_the_next() -> None:
    calls, _ = run(at(0.0, 1.0), timeout_s=1.5, queues=(queue_of("one", 1, concurrency="serial"),))
    assert [(c.call, c.outcome, c.started_s, c.reply.end_s) for c in calls] == [
        (0, "timeout", 0.0, 2.0),
        (1, "timeout", 2.0, 4.0),
    ]


def test_a_fan_runs_in_a_window_of_two() -> None:
    calls, (job,) = run(pipeline("p", *FAN), queues=(queue_of("one", 2),))
    assert [c.reply.end_s for c in calls] == [5.0, 5.0, 10.0, 10.0, 13.0]
    assert job.pipeline_time_s == 13.0


def test_two_servers_on_one_machine_slow_each_other() -> None:
    queues = (queue_of("one", 2), queue_of("two", 2))
    machine = Machine([ServerModel(COSTS), ServerModel(COSTS)], {2: 2.0})
    servers = [ModelledServer(server) for server in machine.servers]
    both = (pipeline("a", *SINGLE), pipeline("b", *SINGLE, jobs=1, arrival=Listed((2.0,))))
    calls, _ = run(*both, queues=queues, placement=(0, 1), servers=servers)
    # a has 1 s of work left when b comes, which takes 2 s; by then b has done 1 s of its 3.
    assert [(c.pipeline, c.reply.end_s) for c in calls] == [("a", 4.0), ("b", 6.0)]
    assert calls[1].reply.queue_s == 0.0
    assert calls[1].reply.first_token_s == 4.0


def test_tool_delays_and_closed_loops_run_in_virtual_time() -> None:
    tools = pipeline("t", node("fetch", delay_s=100.0), node("ask", (0,)))
    chat = pipeline("c", *SINGLE, jobs=3, arrival=Closed(1, fixed(50.0)))
    _, jobs = run(tools, chat)
    assert [(j.pipeline, j.due_s, j.end_s) for j in jobs] == [
        ("c", 0.0, 3.0),
        ("c", 53.0, 56.0),
        ("t", 0.0, 103.0),
        ("c", 106.0, 109.0),
    ]


class OneBoundaryAtATime(ServerModel):
    """A server that never runs ahead."""

    passed = 0

    def run(self, until_s: float) -> list[Request]:
        end_s = self.next_s()
        OneBoundaryAtATime.passed += end_s <= until_s
        return self.advance(end_s) if end_s <= until_s else []


@pytest.mark.parametrize("caps", [("unbounded",), ("window", "waves"), ("unbounded", "serial", "waves")])
@pytest.mark.parametrize("timeout_s", [None, 8.0])
def test_running_ahead_changes_nothing(caps: tuple[str, ...], timeout_s: float | None) -> None:
    """A server passes boundaries of its own at which nobody ends, as long as nothing can come from elsewhere."""

    def records(model: type[ServerModel]) -> list[object]:
        made: list[object] = []
        queues = tuple(queue_of(f"s{i}", 3, concurrency, max_wait_s=2.0) for i, concurrency in enumerate(caps))
        some = (
            pipeline("fan", *FAN, jobs=9, arrival=Listed(tuple(i * 3.125 for i in range(9)))),
            pipeline("diamond", *DIAMOND, jobs=9, arrival=Listed(tuple(i * 2.75 for i in range(9)))),
            pipeline("late", *DIAMOND, jobs=4, after=0),
            pipeline("chat", *SINGLE, jobs=None, arrival=Closed(2, fixed(0.5)), until=2),
        )
        plan = plan_of("ahead", queues, some, tuple(i % len(caps) for i in range(4)))
        costs = StepCosts((0.0, 0.5, 0.625, 0.75), ((1, 0.0625),), context_s_per_token=1 / 1024, batch_tokens=16)
        servers = [ModelledServer(model(costs), before_s=0.125 * i) for i in range(len(caps))]
        engine = Engine(some, plan, origin="predicted", timeout_s=timeout_s)
        simulate(engine, ModelledServers(servers, lambda call: (5 + 7 * call.node, 1 + 2 * call.item)), made.append)
        return made

    before = OneBoundaryAtATime.passed
    stepwise = records(OneBoundaryAtATime)
    assert OneBoundaryAtATime.passed > before  # it was asked
    assert records(ServerModel) == stepwise


def test_a_rate_above_capacity_is_told_with_the_rate_that_would_do() -> None:
    """Two slots cannot serve one call a second; how many they did serve by then, a walk step by step says as well."""
    with pytest.raises(CannotEnd) as caught:
        run(at(*(float(i) for i in range(5000))), limits=Limits(waiting=200))
    ended = sum(
        seen.end_s <= 432 for seen in reference(COSTS, [Given(float(i), 4, 3) for i in range(433)]) if seen.end_s
    )
    assert str(caught.value) == (
        'the simulation of "v" was given up at 432 s of virtual time with 275 calls waiting: pipeline "p": jobs arrive '
        f"at 1 a second and end at {ended / 432:.3g} a second, which is about what these servers sustain"
    )


def test_a_simulation_that_lasts_too_long_is_given_up() -> None:
    chat = pipeline("c", *SINGLE, jobs=None, arrival=Closed(1, fixed(1.0)), until=1)
    endless = pipeline("e", *SINGLE, jobs=10**6, arrival=Closed(1, fixed(1.0)))
    with pytest.raises(CannotEnd, match=r"beyond its limit of 5000 s: .* bound its jobs"):
        run(chat, endless, limits=Limits(virtual_s=5000))


def test_a_call_that_takes_no_time_on_a_shared_machine_is_told_at_once() -> None:
    """It ends while another call of the same instant is being sent to the server beside it."""
    free = StepCosts((0.0, 1.0), ((1, 0.0),))
    machine = Machine([ServerModel(free), ServerModel(free)], {2: 1.5})
    servers = ModelledServers([ModelledServer(server) for server in machine.servers], lambda call: (4, 1 + 2 * call.id))
    servers.start(Call(0, 0, 0, 0, 0, 0, 0, 5.0), 5.0)
    servers.start(Call(1, 1, 0, 0, 0, 0, 1, 5.0), 5.0)
    now_s, events = servers.advance(float("inf"))
    assert (now_s, [event[0] for event in events]) == (5.0, [0])
    now_s, events = servers.advance(float("inf"))
    assert (now_s, [event[0] for event in events]) == (7.0, [1])


def test_a_prompt_that_does_not_fit_is_refused_when_it_would_get_a_slot() -> None:
    """One slot: the second waits until the first has ended, as for an answer; the third is not held up by it."""
    sizes = [(4, 3), (10, 3), (4, 3)]
    calls: list[CallRecord] = []
    queues = (queue_of("one", 1, concurrency="unbounded"),)
    one = StepCosts(decode_s=(0.0, 1.0), prefill=((1, 0.25),))
    pipelines = (at(0.0, 0.0, 0.0),)
    server = ModelledServer(ServerModel(one), after_s=0.5, contexts=(Context(10),))
    backend = ModelledServers([server], lambda call: sizes[call.job])
    engine = Engine(pipelines, plan_of("v", queues, pipelines), origin="predicted")
    simulate(engine, backend, lambda record: calls.append(record) if isinstance(record, CallRecord) else None)
    by_job = {call.job: call.reply for call in calls}
    assert [by_job[job].outcome for job in range(3)] == ["ok", "error", "ok"]
    assert [by_job[job].end_s for job in range(3)] == [3.5, 3.5, 6.5]
    assert by_job[1].prompt_tokens is None
    assert by_job[1].error == (
        "400: request (10 tokens) exceeds the available context size (10 tokens), try increasing it"
    )


def test_a_prompt_that_would_be_cut_takes_its_time_and_is_an_error_that_says_so() -> None:
    whole, _ = run(at(0.0), servers=[ModelledServer(ServerModel(COSTS))])
    (call,), _ = run(at(0.0), servers=[ModelledServer(ServerModel(COSTS), contexts=(Context(4, "cuts"),))])
    assert (call.outcome, call.reply.error) == (
        "error",
        "truncated: the server answered from 3 of 4 prompt tokens, because a slot has 4",
    )
    assert (call.reply.prompt_tokens, call.reply.output_tokens) == (3, whole[0].reply.output_tokens)
    assert whole[0].reply.end_s is not None
    assert 0 < (call.reply.end_s or 0) <= whole[0].reply.end_s
