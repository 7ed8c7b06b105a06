"""Every cap, order and place against a schedule worked out by hand, and against its definition on random work."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from core.bench import Bench
from core.graphs import SINGLE, graph, node, pipeline, pool_of, queue_of, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.arrival_processes import Listed
from harness.core.concurrency import CONCURRENCY
from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Graph, Pipeline
from harness.core.paths import remaining_tokens
from harness.core.placement import PLACEMENT
from harness.core.plan import Plan, Pool, ServerQueue, queues_of
from harness.core.records import CallRecord, JobRecord, Path, Reply
from harness.core.scheduling import SCHEDULING, JobView, NodeView, Scheduling
from harness.core.sizes import fixed
from harness.drivers.virtual import simulate

# --- caps ---


def test_reserve_keeps_a_slot_free_for_interactive_calls() -> None:
    """Three slots, one kept: two batch calls, and a chat need never wait for a third."""
    batch = pipeline("b", node("n", width=4))
    chat = pipeline("c", *SINGLE, path="interactive", jobs=2, arrival=Listed((1.0, 2.0)))
    bench = Bench(batch, chat, concurrency="reserve", slots=3)
    assert bench.due(0) == ["b0.n0#0", "b0.n1#1"]  # and a slot stays empty
    assert bench.due(1.0) == ["c0.only0#4"]
    assert bench.due(2.0) == []  # no slot is free
    assert bench.done(3, 0) == ["b0.n2#2"]  # fifo: it has waited longer than the second chat, and may start
    assert bench.done(4, 4) == ["c1.only0#5"]  # overtakes b0.n3, which may not
    assert bench.done(5, 1) == ["b0.n3#3"]
    assert bench.done(6, 2, 3, 5) == []
    assert bench.finished()


def test_reserve_lets_interactive_calls_take_every_slot_and_batch_calls_the_one_that_is_left() -> None:
    chats = pipeline("c", node("n", width=3), path="interactive")
    bench = Bench(pipeline("b", node("n", width=2)), chats, concurrency="reserve", slots=8, limit=3, reserve=2)
    assert bench.due(0) == ["b0.n0#0", "c0.n0#2", "c0.n1#3"]
    assert bench.done(1, 2) == ["c0.n2#4"]
    assert bench.done(2, 0) == ["b0.n1#1"]


def test_reserve_drops_what_waits_in_either_queue() -> None:
    batch, chat = pipeline("b", node("n", width=3)), pipeline("c", node("n", width=3), path="interactive")
    bench = Bench(batch, chat, concurrency="reserve", slots=2)
    assert bench.due(0) == ["b0.n0#0", "c0.n0#3"]
    assert bench.done(1, 0, reply=Reply("error")) == ["c0.n1#4"]
    assert bench.done(2, 3, reply=Reply("error")) == []
    assert [(c.call, c.outcome) for c in bench.calls if c.started_s is None] == [
        (1, "cancelled"),
        (2, "cancelled"),
        (5, "cancelled"),
    ]
    bench.done(3, 4)
    assert bench.finished() and bench.engine.queued == 0


@pytest.mark.parametrize(
    ("concurrency", "most", "batch"), [("serial", 1, None), ("window", 3, None), ("waves", 4, None), ("reserve", 3, 2)]
)
def test_what_a_concurrency_policy_lets_go_in_figures(concurrency: str, most: int, batch: int | None) -> None:
    queue = queue_of("s", 4, concurrency, limit=3)
    assert (queue.most, queue.most_batch) == (most, batch)
    assert queue_of("s", 4, "unbounded", limit=3).most is None
    assert queue_of("s", 1, "reserve").most_batch == 1  # or batch calls would never start


# --- orders ---


def test_oldest_job_first_finishes_a_job_before_the_next() -> None:
    chain = (node("a"), node("b", (0,)))
    bench = Bench(pipeline("p", *chain, jobs=2), concurrency="serial", scheduling="oldest-job-first")
    assert bench.due(0) == ["p0.a0#0"]
    assert bench.done(1, 0) == ["p0.b0#2"]  # fifo would take p1.a0#1
    assert bench.done(2, 2) == ["p1.a0#1"]
    assert bench.done(3, 1) == ["p1.b0#3"]


def test_oldest_job_first_goes_by_when_jobs_were_due_over_all_pipelines() -> None:
    one = pipeline("one", node("n", width=2), arrival=Listed((2.0,)))
    two = pipeline("two", node("n", width=2), arrival=Listed((1.0,)))
    bench = Bench(pipeline("first", *SINGLE), one, two, concurrency="serial", scheduling="oldest-job-first")
    assert bench.due(0) == ["first0.only0#0"]
    assert bench.due(2.0) == []  # both arrivals are handled late, in the file's order
    assert bench.done(3, 0) == ["two0.n0#3"]
    assert bench.done(4, 3) == ["two0.n1#4"]
    assert bench.done(5, 4) == ["one0.n0#1"]


def test_least_served_first_goes_by_the_time_in_flight_of_a_jobs_finished_calls() -> None:
    a, b = pipeline("a", node("n", width=3)), pipeline("b", node("n", width=2))
    bench = Bench(a, b, concurrency="serial", scheduling="least-served-first")
    assert bench.due(0) == ["a0.n0#0"]  # nobody was served: first come, first served
    assert bench.done(2, 0) == ["b0.n0#3"]  # a 2 s, b none
    assert bench.done(3, 3) == ["b0.n1#4"]  # a 2 s, b 1 s
    assert bench.done(6, 4) == ["a0.n1#1"]
    assert bench.done(7, 1) == ["a0.n2#2"]


def test_least_served_first_sees_no_service_before_it_has_ended() -> None:
    """Job a has two calls under way and none that has ended, so it is as good as new."""
    a, b = pipeline("a", node("n", width=3)), pipeline("b", *SINGLE, arrival=Listed((1.0,)))
    c = pipeline("c", *SINGLE)
    bench = Bench(c, a, b, scheduling="least-served-first", slots=3)
    assert bench.due(0) == ["c0.only0#0", "a0.n0#1", "a0.n1#2"]
    assert bench.due(1) == []
    assert bench.done(5, 0) == ["a0.n2#3"]


def test_least_served_first_counts_a_second_of_waiting_for_a_second_of_service() -> None:
    """Or users who come back again and again, each time with a new job, would keep long jobs waiting for ever."""
    chats = pipeline("c", *SINGLE, jobs=2, arrival=Listed((2.0, 3.5)))
    bench = Bench(pipeline("a", node("n", width=2)), chats, concurrency="serial", scheduling="least-served-first")
    assert bench.due(0) == ["a0.n0#0"]
    assert bench.due(2) == []
    assert bench.done(3, 0) == ["c0.only0#2"]  # 2 + 0 before 0 + 3
    assert bench.due(3.5) == []
    assert bench.done(4, 2) == ["a0.n1#1"]  # 0 + 3 before 3.5 + 0


def test_shortest_first_goes_by_the_expected_output() -> None:
    def one(name: str, tokens: int | None, due_s: float = 0.0) -> Pipeline:
        return pipeline(name, node("n", expected_output_tokens=tokens), arrival=Listed((due_s,)))

    some = (one("unknown", None), one("long", 100), one("short", 10), one("mid", 50), one("tiny", 5, 0.5))
    bench = Bench(*some, concurrency="serial", scheduling="shortest-first")
    assert bench.due(0) == ["short0.n0#2"]
    assert bench.due(0.5) == []
    assert bench.done(1, 2) == ["tiny0.n0#4"]
    assert bench.done(2, 4) == ["mid0.n0#3"]
    assert bench.done(3, 3) == ["unknown0.n0#0"]  # as long as the longest, and first come
    assert bench.done(4, 0) == ["long0.n0#1"]


@pytest.mark.parametrize(("due_s", "first"), [(26.0, "short0.a0#2"), (28.0, "long0.a0#1")])
def test_shortest_first_ages(due_s: float, first: str) -> None:
    """Keys: the long call 0 + 30, the short one when it is due + 30 / 10."""
    some = (chain("now", 1), chain("long", 10), chain("short", 1, due_s=due_s))
    bench = Bench(*some, concurrency="serial", scheduling="shortest-first")
    assert bench.due(0) == ["now0.a0#0"]
    assert bench.due(due_s) == []
    assert bench.done(40, 0) == [first]


def chain(name: str, *tokens: int, due_s: float = 0.0, path: Path = "batch") -> Pipeline:
    nodes = [
        node("abc"[i], (i - 1,) if i else (), expected_output_tokens=length or None) for i, length in enumerate(tokens)
    ]
    return pipeline(name, *nodes, arrival=Listed((due_s,)), path=path)


def test_critical_path_first_takes_the_longest_way_to_the_end() -> None:
    """The longest path, 60 tokens, is worth 30 s. Keys: ready - 30 * ahead / 60."""
    bench = Bench(chain("flat", 40), chain("deep", 10, 20, 30), concurrency="serial", scheduling="critical-path-first")
    assert bench.due(0) == ["deep0.a0#1"]  # -30 before -20
    assert bench.done(1, 1) == ["deep0.b0#2"]  # 1 - 25 before -20
    assert bench.done(2, 2) == ["flat0.a0#0"]  # -20 before 2 - 15
    assert bench.done(3, 0) == ["deep0.c0#3"]


@pytest.mark.parametrize(("due_s", "first"), [(29.0, "deep0.a0#2"), (31.0, "chat0.a0#1")])
def test_critical_path_first_ages(due_s: float, first: str) -> None:
    """Whoever has nothing ahead goes before the longest path that became ready 30 s later."""
    chat, deep = chain("chat", 0, path="interactive"), chain("deep", 10, 20, due_s=due_s)
    bench = Bench(chain("now", 5), chat, deep, concurrency="serial", scheduling="critical-path-first")
    assert bench.due(0) == ["now0.a0#0"]
    assert bench.due(due_s) == []
    assert bench.done(40, 0) == [first]


def paths(graph_: Graph, start: int) -> list[float]:
    """Return the tokens of every path from a node to the end, one by one: no branches, no loops."""
    own = float(graph_.nodes[start].expected_output_tokens or 0)
    return [own + rest for after in graph_.nodes[start].successors for rest in paths(graph_, after)] or [own]


@given(st.data())
def test_the_remaining_path_is_the_longest_of_all_paths(data: st.DataObject) -> None:
    nodes = []
    for i in range(data.draw(st.integers(1, 8))):
        after = tuple(sorted(data.draw(st.sets(st.integers(0, i - 1), max_size=3)))) if i else ()
        nodes.append(node(f"n{i}", after, expected_output_tokens=data.draw(st.integers(0, 9))))
    some = graph(*nodes)
    assert remaining_tokens(some) == tuple(max(paths(some, i)) for i in range(len(nodes)))


def test_the_remaining_path_of_branches_loops_and_tools() -> None:
    """By hand: the branch is a mean, a tool is nothing, and a loop of two passes, half of the time, runs half again."""
    some = graph(
        node("ask", expected_output_tokens=10, labels=("x", "y"), shares=(0.25, 0.75)),
        node("left", (0,), expected_output_tokens=80, takes=(0,)),
        node("right", (0,), expected_output_tokens=8, takes=(1,)),
        node("fetch", (1, 2), delay_s=9.0),
        node("draft", (3,), expected_output_tokens=20),
        node("judge", (4,), expected_output_tokens=4),
        until("until", (5,), (4, 5), 2, end_share=0.5),  # 1.5 passes
        node("end", (6,), 3, expected_output_tokens=1),
    )
    # a further half pass of 24 tokens, then the end
    assert remaining_tokens(some)[4:] == (20 + 4 + 12 + 1, 4 + 12 + 1, 12 + 1, 1)
    assert remaining_tokens(some)[:4] == (10 + 0.25 * (80 + 37) + 0.75 * (8 + 37), 80 + 37, 8 + 37, 37)
    inner = graph(
        node("a", expected_output_tokens=1),
        until("inner", (0,), (0,), 3),  # exactly three passes
        until("outer", (1,), (0, 1), 2),
    )
    assert remaining_tokens(inner) == (1 + 2 + 3, 2 + 3, 3)


# --- an order of a user's own ---


def own(key: Any, concurrency: str = "serial", slots: int = 1) -> ServerQueue:
    """One server whose calls go by this key."""
    return ServerQueue("one", slots, CONCURRENCY[concurrency], Scheduling(key, name="own", about="."))


def alone(*some: Pipeline, queue: ServerQueue) -> Bench:
    """Everything on this server."""
    return Bench(*some, plan=Plan("own", (queue,), tuple((0,) * len(p.graph.nodes) for p in some)))


@pytest.mark.parametrize(("ended_s", "first"), [(6.25, "b0.only0#1"), (5.75, "d0.only0#3")])
def test_a_key_that_takes_the_time_is_asked_again_before_each_start(ended_s: float, first: str) -> None:
    """The last comes first, but a call that has waited 5 s goes before all others: b, of 1 s, from 6 s on."""

    def last_come(call: Call, node: NodeView, job: JobView, settings: Any, now_s: float) -> tuple[bool, float]:
        return now_s < call.ready_s + 5, -call.ready_s

    came = {"a": 0.0, "b": 1.0, "c": 4.0, "d": 5.5}
    some = [pipeline(name, *SINGLE, arrival=Listed((at,))) for name, at in came.items()]
    bench = alone(*some, queue=own(last_come))
    assert bench.due(0) == ["a0.only0#0 on one"]
    assert bench.due(1) == bench.due(4) == []
    assert bench.done(4.5, 0) == ["c0.only0#2 on one"]
    assert bench.due(5.5) == []
    assert bench.done(ended_s, 2) == [f"{first} on one"]


def test_a_key_that_takes_the_time_forgets_what_was_dropped() -> None:
    queue = own(lambda call, node, job, settings, now_s: now_s - call.ready_s, "window", 2)
    bench = alone(pipeline("p", node("n", width=4)), pipeline("q", node("n", width=2)), queue=queue)
    assert bench.due(0) == ["p0.n0#0 on one", "p0.n1#1 on one"]
    assert bench.done(1, 0, reply=Reply("error")) == ["q0.n0#4 on one"]
    assert bench.done(2, 1) == ["q0.n1#5 on one"]
    bench.done(3, 4, 5)
    assert bench.finished() and bench.engine.queued == 0


def test_what_a_key_sees_of_a_node() -> None:
    seen: list[tuple[Any, ...]] = []

    def key(call: Call, node: NodeView, job: JobView, settings: Any) -> float:
        seen.append((node.agent, node.name, node.prompt_tokens, node.output_tokens, node.path, node.priority))
        return call.ready_s

    told = node("ask", expected_prompt_tokens=40, expected_output_tokens=10, thinking=fixed(5), priority=2)
    alone(pipeline("p", told, node("sum", (0,))), queue=own(key)).due(0)
    alone(pipeline("c", node("sum"), path="interactive"), queue=own(key)).due(0)
    assert list(dict.fromkeys(seen)) == [
        ("ask", "ask", 40, 15, "batch", 2),
        ("sum", "sum", None, None, "interactive", 0),
    ]


# --- places ---

LEFT, RIGHT = queue_of("left", 1), queue_of("right", 1)


def both(choice: str, *some: Pipeline, left: ServerQueue = LEFT, right: ServerQueue = RIGHT) -> Bench:
    """Everything may go to both."""
    pool = pool_of(choice, (0, 1))
    return Bench(*some, plan=Plan("two", (left, right), tuple((pool,) * len(p.graph.nodes) for p in some)))


def test_least_loaded_goes_by_free_slots_and_then_by_who_is_free_first() -> None:
    bench = both(
        "least-loaded", pipeline("p", node("n", width=6)), left=queue_of("left", 1), right=queue_of("right", 3)
    )
    assert bench.due(0) == [
        "p0.n0#0 on right",
        "p0.n1#1 on right",
        "p0.n2#2 on left",  # one free on each: the first that is named
        "p0.n3#3 on right",
    ]
    assert bench.engine.queued == 2
    assert bench.done(1, 2) == ["p0.n4#4 on left"]
    assert bench.done(2, 0, 4) == ["p0.n5#5 on left"]
    bench.done(3, 1, 3, 5)
    assert bench.finished()
    assert [c.server for c in sorted(bench.calls, key=lambda c: c.call)] == [
        "right",
        "right",
        "left",
        "right",
        "left",
        "left",
    ]


def test_who_may_go_to_one_server_only_is_not_overtaken_there() -> None:
    only, any_ = pipeline("only", node("n", width=2)), pipeline("any", node("n", width=2))
    plan = Plan("two", (LEFT, RIGHT), ((0,), (pool_of("least-loaded", (0, 1)),)))
    bench = Bench(only, any_, plan=plan)
    assert bench.due(0) == ["only0.n0#0 on left", "any0.n0#2 on right"]
    assert bench.done(1, 0) == ["only0.n1#1 on left"]
    assert bench.done(2, 2) == ["any0.n1#3 on right"]


def test_waves_are_not_split_over_servers() -> None:
    wave = queue_of("left", 2, "waves")
    bench = both("least-loaded", pipeline("p", node("n", width=5)), left=wave, right=wave._replace(server="right"))
    assert bench.due(0) == ["p0.n0#0 on left", "p0.n1#1 on left", "p0.n2#2 on right", "p0.n3#3 on right"]
    assert bench.done(1, 0) == []
    assert bench.done(2, 2, 3) == ["p0.n4#4 on right"]  # not full, but nothing that runs leads here


def test_without_a_limit_calls_are_spread() -> None:
    queue = queue_of("left", 2, "unbounded")
    bench = both("least-loaded", pipeline("p", node("n", width=5)), left=queue, right=queue._replace(server="right"))
    assert [text.split()[-1] for text in bench.due(0)] == ["left", "right", "left", "right", "left"]


def test_affinity_keeps_a_job_on_the_server_that_it_began_on() -> None:
    bench = both("affinity", pipeline("p", node("a"), node("b", (0,)), jobs=3))
    assert bench.due(0) == ["p0.a0#0 on left", "p1.a0#1 on right"]
    assert bench.done(1, 1) == ["p2.a0#2 on right"]  # became ready before p1.b0#3, which must go there
    assert bench.done(2, 0) == ["p0.b0#4 on left"]
    assert bench.done(3, 4) == []  # left is free, but nothing that waits may go there
    assert bench.done(4, 2) == ["p1.b0#3 on right"]
    assert bench.done(5, 3) == ["p2.b0#5 on right"]
    bench.done(6, 5)
    assert bench.finished()
    assert not bench.engine._offers._homes and not bench.engine._offers._on  # nothing is kept of jobs that have ended


def test_what_a_conversation_still_has_waiting_follows_its_first_call() -> None:
    bench = both("affinity", pipeline("p", node("n", width=3)), pipeline("q", *SINGLE))
    assert bench.due(0) == ["p0.n0#0 on left", "q0.only0#3 on right"]
    assert bench.done(1, 3) == []
    assert bench.done(2, 0) == ["p0.n1#1 on left"]
    assert bench.done(3, 1) == ["p0.n2#2 on left"]


def test_a_session_goes_on_where_it_was() -> None:
    """Both jobs are turns of one conversation; between them the other server has become the emptier one."""
    turns = pipeline("s", *SINGLE, jobs=2, arrival=Listed((0.0, 2.0)))
    bench = both("affinity", turns, pipeline("other", *SINGLE, arrival=Listed((1.0,))))
    admit = bench.engine._arrivals.admit

    def with_session(event: Any, now_s: float) -> Any:
        admitted, following = admit(event, now_s)
        return [each._replace(session=7) if event.pipeline == 0 else each for each in admitted], following

    bench.engine._arrivals.admit = with_session  # type: ignore[method-assign]  # a stub
    assert bench.due(0) == ["s0.only0#0 on left"]
    bench.done(0.5, 0)
    assert bench.due(1) == ["other0.only0#1 on left"]
    assert bench.due(2) == []  # right is free
    assert bench.done(3, 1) == ["s1.only0#2 on left"]


def test_a_failed_job_leaves_every_queue_once() -> None:
    bench = both("least-loaded", pipeline("p", node("n", width=4)), pipeline("q", *SINGLE))
    assert bench.due(0) == ["p0.n0#0 on left", "p0.n1#1 on right"]
    assert bench.engine.queued == 3
    assert bench.done(1, 1, reply=Reply("error")) == ["q0.only0#4 on right"]
    assert [c.call for c in bench.calls if c.started_s is None] == [2, 3]
    bench.done(2, 0, 4)
    assert bench.finished() and bench.engine.queued == 0


# --- on random work ---

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def some_pipelines(draw: st.DrawFn) -> tuple[Pipeline, ...]:
    made = []
    for name in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        nodes = []
        for i in range(draw(st.integers(1, 4))):
            after = tuple(sorted(draw(st.sets(st.integers(0, i - 1), max_size=2)))) if i else ()
            tokens, priority = draw(st.sampled_from([None, 4, 8, 32])), draw(st.sampled_from([0, 0, 0, 1]))
            width = draw(st.integers(1, 4))
            nodes.append(node(f"n{i}", after, width, expected_output_tokens=tokens, priority=priority))
        path: Path = draw(st.sampled_from(["batch", "interactive"]))
        due_s = sorted(draw(st.lists(st.integers(0, 8), min_size=1, max_size=4)))
        arrival = Listed(tuple(at / 4 for at in due_s))
        made.append(pipeline(name, *nodes, path=path, jobs=len(due_s), arrival=arrival))
    return tuple(made)


def run(some: tuple[Pipeline, ...], plan: Plan) -> tuple[list[CallRecord], list[JobRecord]]:
    records: list[Any] = []

    def serve(call: Call, now_s: float) -> Reply:
        return Reply("ok", end_s=now_s + (1 + integer(8, 3, call.pipeline, call.job, call.node, call.item)) / 8)

    simulate(Engine(some, plan, origin="predicted"), serve, records.append)
    calls = [record for record in records if isinstance(record, CallRecord)]
    return calls, [record for record in records if isinstance(record, JobRecord)]


def started(call: CallRecord) -> float:
    assert call.started_s is not None
    return call.started_s


def ended(call: CallRecord) -> float:
    assert call.reply.end_s is not None
    return call.reply.end_s


ORDERS = (  # their keys are written a second time below
    "fifo", "interactive-first", "oldest-job-first", "least-served-first", "shortest-first", "critical-path-first",
)  # fmt: skip


@FEW
@given(some_pipelines(), st.sampled_from(ORDERS), st.sampled_from(["serial", "window", "waves"]))
def test_nobody_waits_who_should_have_gone_first(some: tuple[Pipeline, ...], scheduling: str, concurrency: str) -> None:
    """At every start, every call that is left waiting has a larger key, by the order's definition over the records."""
    queue = queue_of("s", 2, concurrency, scheduling, ageing_s=2.0, max_wait_s=0.5)
    plan = Plan("one", (queue,), tuple((0,) * len(p.graph.nodes) for p in some))
    calls, jobs = run(some, plan)
    number = {p.name: i for i, p in enumerate(some)}
    nodes = {(p.name, n.name): n for p in some for n in p.graph.nodes}
    ahead = {(p.name, n.name): max(paths(p.graph, i)) for p in some for i, n in enumerate(p.graph.nodes)}
    longest = max(ahead.values()) or 1.0
    most = max((n.expected_output_tokens or 0 for n in nodes.values()), default=0) or 1
    due_s = {(job.pipeline, job.job): job.due_s for job in jobs}

    def key(call: CallRecord, now_s: float) -> tuple[Any, ...]:
        which, whose = (call.pipeline, call.node), (call.pipeline, call.job)
        length = nodes[which].expected_output_tokens
        of_order: dict[str, Any] = {
            "fifo": call.ready_s,
            "interactive-first": call.ready_s - (2.0 if call.path == "interactive" else 0.0),
            "oldest-job-first": (due_s[whose], number[call.pipeline], call.job),
            "least-served-first": call.ready_s
            + sum(ended(c) - started(c) for c in calls if (c.pipeline, c.job) == whose and ended(c) <= now_s),
            "shortest-first": call.ready_s + 2.0 * (1.0 if length is None else length / most),
            "critical-path-first": call.ready_s - 2.0 * (ahead[which] / longest),
        }
        return -nodes[which].priority, of_order[scheduling], call.call

    for now_s in sorted({started(call) for call in calls}):
        gone = [key(call, now_s) for call in calls if started(call) == now_s]
        left = [key(call, now_s) for call in calls if call.ready_s <= now_s < started(call)]
        assert not left or max(gone) < min(left)


@FEW
@given(st.data(), some_pipelines())
def test_no_slot_is_free_while_a_call_waits_that_could_have_it(data: st.DataObject, some: tuple[Pipeline, ...]) -> None:
    """Work conservation, over servers too; `reserve` keeps it among interactive calls, which may have every slot."""
    caps = st.sampled_from(["serial", "window", "unbounded", "reserve"])
    orders = st.sampled_from(sorted(SCHEDULING))
    queues = tuple(
        queue_of(f"s{i}", data.draw(st.integers(1, 3)), data.draw(caps), data.draw(orders)) for i in range(3)
    )
    where: st.SearchStrategy[int | Pool] = st.sampled_from(
        [0, 1, 2, pool_of("least-loaded", (0, 1)), pool_of("least-loaded", (2, 1, 0))]
    )
    plan = Plan("three", queues, tuple(tuple(data.draw(where) for _ in p.graph.nodes) for p in some))
    calls, _ = run(some, plan)
    at = {
        (p.name, n.name): queues_of(on)
        for p, place in zip(some, plan.placement, strict=True)
        for n, on in zip(p.graph.nodes, place, strict=True)
    }
    moments = sorted({t for call in calls for t in (call.ready_s, started(call), ended(call))})
    for now_s, _ in pairwise(moments):
        for number, queue in enumerate(queues):
            mine = [call for call in calls if call.server == queue.server and started(call) <= now_s < ended(call)]
            waiting = [c for c in calls if number in at[c.pipeline, c.node] and c.ready_s <= now_s < started(c)]
            batch = queue.most_batch
            if batch is not None and sum(call.path == "batch" for call in mine) >= batch:
                waiting = [call for call in waiting if call.path == "interactive"]
            assert not waiting or (queue.most is not None and len(mine) >= queue.most)


@FEW
@given(some_pipelines(), st.sampled_from(sorted(CONCURRENCY)), st.sampled_from(sorted(SCHEDULING)))
def test_a_pool_of_one_server_is_that_server(some: tuple[Pipeline, ...], concurrency: str, scheduling: str) -> None:
    """Two ways through the engine, the quick one and the one for shared queues: the same records."""
    queue = queue_of("s", 2, concurrency, scheduling, max_wait_s=0.5, ageing_s=2.0)
    plain = Plan("one", (queue,), tuple((0,) * len(p.graph.nodes) for p in some))
    for choice in PLACEMENT:
        pool = Plan("one", (queue,), tuple((pool_of(choice, (0,)),) * len(p.graph.nodes) for p in some))
        assert sorted(run(some, pool)[0]) == sorted(run(some, plain)[0])
