"""What holds for every policy, those of a user included: equal records on both clocks, and never more than its limit.

Policies that come with Slotwise are taken from their dicts, so a new one is tested here without a line. Those of a user
are written below as a user writes them: a function, a class, a value.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from core.graphs import FOUR, node, pipeline, plan_of
from drivers.both_clocks import AnyRecord, live, random_pipelines, virtual
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Concurrency, Placement, Scheduling
from harness.core.concurrency import QueueView
from harness.core.graph import Pipeline
from harness.core.plan import Plan, Pool, ServerQueue
from harness.core.policies import STANDARD
from harness.core.policy import PolicySource
from harness.core.records import CallRecord
from harness.errors import PolicyError
from harness.own_policies import policies_of

RunVirtual = Callable[[Callable[[Any], Any]], Any]

OWN = policies_of(
    PolicySource(
        "mine.py",
        '''
from harness import Concurrency, KeyCode, Placement, Scheduling


def half(queue):
    """At most half of the slots."""
    return max(1, queue.slots // 2)


class Pairs:
    """Two calls together, and the next two when both have ended; a single one after a quarter of a second."""

    together = True

    def limit(self, queue):
        return 2

    def start(self, view, now_s):
        if view.in_flight:
            return 0
        return 2 if view.ready >= 2 or now_s >= view.oldest_ready_s + 0.25 else 0

    def wake_s(self, view):
        return None if view.in_flight or not view.ready else view.oldest_ready_s + 0.25


class NearlyDone:
    """The call with the shortest way to the end of its job."""

    def key(self, call, node, job, settings):
        return node.ahead


def last_come(call, node, job, settings):
    """The call that became ready last."""
    return -call.ready_s


def patient(call, node, job, settings, now_s):
    """A call that has waited for half a second before all others; of the others the one of the first agent by name."""
    return now_s < call.ready_s + 0.5, node.agent, node.prompt_tokens or 0, node.name


def fullest(queues, home):
    """The server on which most calls are in flight, so that others stay free for a rush."""
    return [max(queues, key=lambda queue: queue.in_flight)]


one_batch = Concurrency(lambda queue: None, batch_limit=lambda queue: 1, about="One batch call at a time.")

CONCURRENCY = {"own-half": half, "own-pairs": Pairs, "own-batch": one_batch}
SCHEDULING = {"own-nearly-done": NearlyDone, "own-last-come": last_come, "own-patient": patient}
PLACEMENT = {"own-fullest": Placement(fullest, settles=True)}
''',
    )
)
EVERY = STANDARD.with_own(OWN)


def peak(records: list[AnyRecord], server: str, path: str | None = None) -> int:
    """The most calls in flight on a server at any time."""
    calls = [r for r in records if isinstance(r, CallRecord) and r.server == server and path in (None, r.path)]
    spans = [(c.started_s, c.reply.end_s) for c in calls if c.started_s is not None and c.reply.end_s is not None]
    return max((sum(start <= at < end for start, end in spans) for at, _ in spans), default=0)


def check_limits(records: list[AnyRecord], plan: Plan) -> None:
    for queue in plan.queues:
        assert queue.most is None or peak(records, queue.server) <= queue.most
        assert queue.most_batch is None or peak(records, queue.server, "batch") <= queue.most_batch


@pytest.mark.parametrize("scheduling", EVERY.scheduling)
@pytest.mark.parametrize("concurrency", EVERY.concurrency)
def test_equal_records_on_both_clocks_within_the_limit(
    concurrency: str, scheduling: str, run_virtual: RunVirtual
) -> None:
    policies = (EVERY.concurrency[concurrency], EVERY.scheduling[scheduling])
    plan = plan_of("eq", (ServerQueue("s", 3, *policies, max_wait_s=0.5),), FOUR)
    expected = virtual(FOUR, plan)
    assert run_virtual(lambda loop: live(loop, FOUR, plan)) == expected
    check_limits(expected, plan)


@pytest.mark.parametrize("placement", EVERY.placement)
@pytest.mark.parametrize("concurrency", EVERY.concurrency)
def test_equal_records_over_two_servers(concurrency: str, placement: str, run_virtual: RunVirtual) -> None:
    queues = tuple(ServerQueue(f"s{i}", 2, EVERY.concurrency[concurrency], max_wait_s=0.5) for i in range(2))
    pool = Pool(EVERY.placement[placement], (0, 1))
    plan = Plan("eq", queues, ((pool, pool), (0, pool, 0, 0), (pool,), (pool, 0, 1, pool)))
    expected = virtual(FOUR, plan)
    assert run_virtual(lambda loop: live(loop, FOUR, plan)) == expected
    check_limits(expected, plan)


@pytest.mark.parametrize("scheduling", ["own-patient", "own-nearly-done"])
def test_an_own_order_over_two_servers_is_the_same_on_both_clocks(scheduling: str, run_virtual: RunVirtual) -> None:
    concurrency = (EVERY.concurrency["reserve"], EVERY.concurrency["window"])
    queues = tuple(
        ServerQueue(f"s{i}", 2, policy, EVERY.scheduling[scheduling]) for i, policy in enumerate(concurrency)
    )
    pool = Pool(EVERY.placement["least-loaded"], (0, 1))
    plan = Plan("eq", queues, ((pool, pool), (0, pool, 0, 0), (pool,), (pool, 0, 1, pool)))
    expected = virtual(FOUR, plan)
    assert run_virtual(lambda loop: live(loop, FOUR, plan)) == expected
    check_limits(expected, plan)


@settings(max_examples=100, deadline=None)
@given(
    random_pipelines(), st.sampled_from(sorted(EVERY.concurrency)), st.sampled_from(sorted(EVERY.scheduling)), st.data()
)
def test_never_more_than_the_limit(
    some: tuple[Pipeline, ...], concurrency: str, scheduling: str, data: st.DataObject
) -> None:
    slots, limit = data.draw(st.integers(1, 5)), data.draw(st.none() | st.integers(1, 4))
    policies = (EVERY.concurrency[concurrency], EVERY.scheduling[scheduling])
    plan = plan_of("p", (ServerQueue("s", slots, *policies, limit=limit, max_wait_s=0.5),), some)
    check_limits(virtual(some, plan), plan)


def test_a_policy_of_the_users_does_what_it_says() -> None:
    """By hand: ten calls of an eighth to seven eighths of a second; half of five slots are two."""
    (fan,) = (pipeline("p", node("n", width=10)),)
    plan = plan_of("p", (ServerQueue("s", 5, EVERY.concurrency["own-half"]),), (fan,))
    assert peak(virtual((fan,), plan), "s") == 2


# --- a policy that breaks its contract --------------------------------------------------------------------------------


def _limit(value: Any) -> Concurrency:
    return Concurrency(lambda queue: value, name="bad", about=".", source=PolicySource("mine.py"))


def _start(value: Any) -> Concurrency:
    def start(view: QueueView, now_s: float) -> Any:
        return value(view) if callable(value) else value

    return Concurrency(lambda queue: 2, start=start, name="bad", about=".", source=PolicySource("mine.py"))


def _key(value: Callable[..., Any], **more: Any) -> Scheduling:
    return Scheduling(value, name="bad", about=".", source=PolicySource("mine.py"), **more)


def _fails(*_: Any) -> Any:
    raise ZeroDivisionError("division by zero")


def _free(queue: Any) -> Any:
    return queue.free


BREAKS: dict[str, tuple[Concurrency | Scheduling, str]] = {
    "no calls at all": (_limit(0), "expected a `limit` of 1 or more calls, found 0"),
    "half a call": (_limit(1.5), "expected a `limit` of 1 or more calls, found 1.5"),
    "a limit that raises": (
        Concurrency(_fails, name="bad", about=".", source=PolicySource("mine.py")),
        "ZeroDivisionError: division by zero",
    ),
    "a negative number": (_start(-1), "expected `start` to return a whole number, 0 or more, found -1"),
    "no number": (_start("two"), "expected `start` to return a whole number, 0 or more, found 'two'"),
    "more than its limit": (
        _start(3),
        'expected at most 2 calls in flight on "s", its `limit`, found 3 more beside 0',
    ),
    "more than its limit later": (
        _start(lambda view: 2),
        'expected at most 2 calls in flight on "s", its `limit`, found 2 more beside 1',
    ),
    "a start that raises": (_start(_fails), "ZeroDivisionError: division by zero"),
    "nothing ever": (
        _start(0),
        'nothing would ever start again: `start` returned 0 and `wake_s` no time, with nothing in flight on "s" and 8 '
        "waiting",
    ),
    "a key that raises": (_key(_fails), "ZeroDivisionError: division by zero"),
    "keys that do not compare": (
        _key(lambda call, *_: call.id if call.id % 2 else "x"),
        "TypeError: '<' not supported between instances of",
    ),
    "a key that shrinks": (
        _key(lambda call, node, job, queue: -job.served_s),
        "expected a key that never shrinks while a call waits",
    ),
    "nothing of that name in a node": (
        _key(lambda call, node, job, queue: node.agnet),
        'a node has no "agnet"; did you mean "agent"? It has agent, ahead, length, name, output_tokens, path, '
        "priority, prompt_tokens",
    ),
    "nothing of that name in a call": (
        _key(lambda call, node, job, queue: call.tokens),
        'a call has no "tokens"; it has ready_s, attempt, item, iteration, session',
    ),
    "nothing of that name in a job": (
        _key(lambda call, node, job, queue, now_s: job.began_s),
        'a job has no "began_s"; it has due_s, served_s',
    ),
    "nothing of that name in the settings": (
        Concurrency(_free, name="bad", about=".", source=PolicySource("mine.py")),
        'a server has no "free"; it has slots, limit, reserve, max_wait_s, ageing_s',
    ),
    "nothing of that name in a queue": (
        _start(lambda view: view.slots),
        'a queue has no "slots"; it has in_flight, ready, feeding, oldest_ready_s, queue',
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_policy_that_breaks_its_contract_is_reported_with_its_name(case: str, run_virtual: RunVirtual) -> None:
    policy, message = BREAKS[case]
    one = pipeline("p", node("n", width=8), jobs=1)
    queue = ServerQueue("s", 3)
    match policy:
        case Concurrency():
            queue = queue._replace(concurrency=policy)
        case Scheduling():
            queue = queue._replace(scheduling=policy)
    plan = plan_of("bad", (queue,), (one,))
    with pytest.raises(PolicyError) as caught:
        virtual((one,), plan)
    assert str(caught.value).startswith(f'policy "bad" (mine.py): {message}')
    with pytest.raises(PolicyError) as again:
        run_virtual(lambda loop: live(loop, (one,), plan))
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("chosen", [(), ("elsewhere",)])
def test_a_placement_that_chooses_none_of_its_servers(chosen: tuple[Any, ...]) -> None:
    one = pipeline("p", node("n"))
    policy = Placement(lambda queues, home: chosen, name="bad", about=".", source=PolicySource("mine.py"))
    plan = Plan("bad", (ServerQueue("a", 1), ServerQueue("b", 1)), ((Pool(policy, (0, 1)),),))
    with pytest.raises(PolicyError, match=r'^policy "bad" \(mine\.py\): expected `choose` to return one or more of'):
        virtual((one,), plan)


# --- in another process -----------------------------------------------------------------------------------------------


def test_policies_travel_by_name_and_text() -> None:
    for kind in ("concurrency", "scheduling", "placement"):
        for policy in getattr(EVERY, kind).values():
            assert pickle.loads(pickle.dumps(policy)) is policy
    there = pickle.loads(pickle.dumps(EVERY.concurrency["own-half"]))
    assert there.most(ServerQueue("s", 6)) == 3


def test_the_text_of_a_file_is_executed_once_a_process(tmp_path: Path) -> None:
    """A worker gets the text, not the path: the file may be changed, or on another machine, meanwhile."""
    trace = tmp_path / "executed"
    lines = [
        f'with open({str(trace)!r}, "a") as file: file.write("x")',
        "def one(queue):",
        '    "One."',
        "    return 1",
        'CONCURRENCY = {"one": one}',
    ]
    text = "\n".join(lines)
    source = PolicySource("gone.py", text)
    policies_of(source)
    sent = pickle.dumps(policies_of(source).concurrency["one"])
    assert pickle.loads(sent).most(ServerQueue("s", 4)) == 1
    assert trace.read_text() == "x"
