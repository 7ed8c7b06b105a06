"""The walk, one rule at a time."""

from __future__ import annotations

from typing import Any

import pytest
from core.graphs import DIAMOND, FAN, graph, node, until

from harness.core.draws import uniform
from harness.core.events import BranchDecision
from harness.core.flow import Advance, FlowShape, FlowWalk, is_plain
from harness.core.graph import Node
from harness.core.sizes import Distribution

NEVER, ALWAYS = 0.0, 1.0


class Walker:
    """Walks by names: `walk("a")` says that one item of a is done and returns what goes then."""

    def __init__(self, *nodes: Node, job: int = 0) -> None:
        self.graph = graph(*nodes)
        self.walk = FlowWalk(FlowShape(self.graph, 7, 0, "p"), job)
        self.lost: list[str] = []
        self.began = self._seen(self.walk.begin())

    def _seen(self, step: Advance | None) -> list[str]:
        if step is None:
            return []
        names = [n.name for n in self.graph.nodes]
        self.lost = [f"{names[lost.node]}{' runs' if lost.run else ''}" for lost in step.lost]
        return [f"{names[ready.node]}{ready.iteration}x{ready.width}" for ready in step.ready]

    def __call__(self, name: str, decision: BranchDecision | None = None) -> list[str]:
        self.lost = []
        index = [n.name for n in self.graph.nodes].index(name)
        return self._seen(self.walk.item_done(index, decision))

    @property
    def finished(self) -> bool:
        return not self.walk.nodes_left


def branch(name: str, after: tuple[int, ...] = (), shares: tuple[float, ...] = (1.0, 0.0)) -> Node:
    return node(name, after, shares=shares, labels=("yes", "no"))


def test_a_plain_graph_walks_as_ever() -> None:
    assert is_plain(graph(*DIAMOND)) and is_plain(graph(*FAN))
    walk = Walker(*DIAMOND)
    assert walk.began == ["plan0x1"]
    assert walk("plan") == ["left0x1", "right0x1"]
    assert walk("right") == []
    assert walk("left") == ["edit0x1"]
    assert not walk.finished
    assert walk("edit") == []
    assert walk.finished


@pytest.mark.parametrize(
    "special",
    [
        node("b", (0,), takes=(0,)),
        node("b", (0,), need=1),
        node("b", (0,), 2, enough=1),
        node("b", (0,), 2, over=0),
        until("b", (0,), (0,), 2),
    ],
)
def test_what_is_not_plain(special: Node) -> None:
    assert not is_plain(graph(node("a"), special))
    assert is_plain(graph(node("a"), node("b", (0,), retries=2, priority=1, takes=(None,))))


def test_one_label_is_taken_and_the_other_path_is_dead() -> None:
    walk = Walker(branch("a"), node("b", (0,), takes=(0,)), node("c", (0,), takes=(1,)), node("d", (2,)))
    assert walk("a") == ["b0x1"]
    assert walk("b") == []
    assert walk.finished


def test_a_skipped_node_passes_on_and_a_join_waits_for_the_living() -> None:
    left, right = node("b", (0,), takes=(1,)), node("c", (1,))
    walk = Walker(branch("a"), left, right, node("d", (0,), takes=(0,)), node("join", (2, 3)))
    assert walk("a") == ["d0x1"]
    assert walk("d") == ["join0x1"]
    assert walk("join") == [] and walk.finished


def test_a_join_that_is_dead_on_every_side_is_skipped() -> None:
    first, second = node("b", (0,), takes=(1,)), node("c", (0,), takes=(1,))
    walk = Walker(branch("a"), first, second, node("join", (1, 2)), node("end", (3,)))
    assert walk("a") == [] and walk.finished


def test_labels_are_drawn_by_their_shares_and_by_nothing_else() -> None:
    taken = []
    for job in range(400):
        walk = Walker(branch("a", shares=(0.3, 0.7)), node("b", (0,), takes=(0,)), node("c", (0,), takes=(1,)), job=job)
        (ready,) = walk("a")
        assert ready == ("b0x1" if uniform(7, 0, "p", job, "a", 0, 0, "branch") < 0.3 else "c0x1")
        taken.append(ready)
    assert 90 < taken.count("b0x1") < 150


def test_what_the_model_said_wins() -> None:
    yes, no = node("b", (0,), takes=(0,)), node("c", (0,), takes=(1,))
    assert Walker(branch("a"), yes, no)("a", BranchDecision(branch=1)) == ["c0x1"]
    assert Walker(branch("a"), yes, no)("a", BranchDecision(stop=True)) == ["b0x1"]
    listed = node("b", (0,), width=9, over=0)
    assert Walker(node("a"), listed)("a", BranchDecision(items=3)) == ["b0x3"]
    loop = Walker(node("a"), node("b", (0,)), until("u", (1,), (0, 1), 3, end_share=NEVER, decides=0))
    assert loop("a", BranchDecision(stop=True)) == ["b0x1"]
    assert loop("b") == [] and loop.finished
    loop = Walker(node("a"), until("u", (0,), (0,), 3, end_share=ALWAYS, decides=0))
    assert loop("a", BranchDecision(stop=False)) == ["a1x1"]
    assert loop("a") == [] and loop.finished  # nothing was said this time: the last word doesn't count again


def three(need: int | None, losers: str = "cancel", **rest: Any) -> tuple[Node, ...]:
    return (node("a"), node("b"), node("c"), node("join", (0, 1, 2), need=need, losers=losers, **rest))


def test_two_of_three_and_the_third_is_lost() -> None:
    walk = Walker(*three(2))
    assert walk("b") == []
    assert walk("a") == ["join0x1"]
    assert walk.lost == ["c"]
    assert walk("join") == [] and walk.finished


def test_any_with_losers_let_run() -> None:
    walk = Walker(*three(1, "run"))
    assert walk("c") == ["join0x1"]
    assert walk.lost == ["a runs", "b runs"]


def test_a_loser_that_somebody_else_waits_for_is_none() -> None:
    walk = Walker(*three(1), node("report", (0,)))
    assert walk("b") == ["join0x1"]
    assert walk.lost == ["c"]
    assert walk("a") == ["report0x1"]


def test_what_leads_to_a_loser_is_lost_with_it() -> None:
    """a -> b -> join <- c: as soon as c is done, a, under way, leads nowhere; b never starts."""
    walk = Walker(node("a"), node("b", (0,)), node("c"), node("join", (1, 2), need=1))
    assert walk("c") == ["join0x1"]
    assert walk.lost == ["a"]
    assert walk("join") == [] and walk.finished


def test_who_would_start_at_the_instant_of_the_decision_does_not() -> None:
    walk = Walker(node("a"), node("b", (0,)), node("join", (0, 1), need=1))
    assert walk("a") == ["join0x1"]
    assert walk.lost == []
    assert walk("join") == [] and walk.finished


def test_k_counts_the_living_only() -> None:
    nodes = (
        branch("a"),
        node("b", (0,), takes=(1,)),
        node("c", (0,), takes=(0,)),
        node("join", (1, 2), need=2),
    )
    walk = Walker(*nodes)
    assert walk("a") == ["c0x1"]
    assert walk("c") == ["join0x1"]  # one is alive, and done


def test_enough_items() -> None:
    walk = Walker(node("vote", width=3, enough=2), node("count", (0,)))
    assert walk.began == ["vote0x3"]
    assert walk("vote") == []
    assert walk("vote") == ["count0x1"]
    assert walk.lost == ["vote"]
    exact = Walker(node("vote", width=2, enough=2, losers="run"), node("count", (0,)))
    exact("vote")
    assert exact("vote") == ["count0x1"]
    assert exact.lost == []
    fewer = Walker(node("list"), node("vote", (0,), 5, enough=3, over=0), node("count", (1,)))
    assert fewer("list", BranchDecision(items=1)) == ["vote0x1"]
    assert fewer("vote") == ["count0x1"]


def test_an_empty_list_is_done_at_once() -> None:
    walk = Walker(
        node("plan"),
        node("work", (0,), width=4, over=0, items=Distribution("uniform", (0, 0), True)),
        node("merge", (1,)),
    )
    assert walk("plan") == ["merge0x1"]


def test_lists_are_drawn_and_cut_at_the_most() -> None:
    spread = Distribution("uniform", (0, 9), True)
    widths = set()
    for job in range(60):
        ready = Walker(node("plan"), node("work", (0,), 4, over=0, items=spread), job=job)("plan")
        drawn = min(4, int(spread.draw(7, 0, "p", job, "work", 0, 0, "items")))
        assert ready == ([f"work0x{drawn}"] if drawn else [])
        widths.add(drawn)
    assert widths == {0, 1, 2, 3, 4}
    assert Walker(node("plan"), node("work", (0,), 4, over=0))("plan") == ["work0x4"]


def test_no_list_where_its_author_was_skipped() -> None:
    nodes = (
        branch("a"),
        node("plan", (0,), takes=(1,)),
        node("work", (0, 1), width=4, over=1),
        node("merge", (2,)),
    )
    assert Walker(*nodes)("a") == ["merge0x1"]


def test_a_loop_ends_at_its_maximum() -> None:
    walk = Walker(node("in"), node("a", (0,)), node("b", (1,)), until("u", (2,), (1, 2), 3), node("out", (3,)))
    assert walk("in") == ["a0x1"]
    for again in (1, 2):
        walk("a")
        assert walk("b") == [f"a{again}x1"]
    walk("a")
    assert walk("b") == ["out0x1"]
    assert walk("out") == [] and walk.finished


def test_passes_are_drawn() -> None:
    made = []
    for job in range(300):
        walk = Walker(node("a"), until("u", (0,), (0,), 4, end_share=0.5), job=job)
        passes = 1
        while walk("a"):
            passes += 1
        drawn = [uniform(7, 0, "p", job, "u", 0, i, "until") < 0.5 for i in range(3)]
        assert passes == ([*drawn, True].index(True) + 1)
        made.append(passes)
    assert [made.count(n) for n in (1, 2, 3, 4)] == pytest.approx([150, 75, 37, 37], abs=25)


def test_the_number_of_passes_is_drawn_as_the_loop_begins() -> None:
    """Once for each run of it; 0 is taken for 1, and there are no more than the most."""
    drawn = Distribution("uniform", (0, 9), True)
    for job in range(50):
        inner = until("i", (0,), (0,), 5)._replace(passes=drawn)
        walk = Walker(node("a"), inner, until("o", (1,), (0, 1), 3), job=job)
        made = 1
        while walk("a"):
            made += 1
        entered, expected = 0, 0
        for _ in range(3):
            expected += min(5, max(1, round(drawn.draw(7, 0, "p", job, "i", 0, entered, "passes"))))
            entered = expected
        assert made == expected


def test_nested_loops_count_anew_but_number_on() -> None:
    """Twice (a, then three times b): b's numbers go on, its passes start again."""
    walk = Walker(node("a"), node("b", (0,)), until("i", (1,), (1,), 3), until("o", (2,), (0, 1, 2), 2))
    seen = walk.began
    for name in ("a", "b", "b", "b", "a", "b", "b", "b"):
        assert not walk.finished
        seen = seen + walk(name)
    assert seen == ["a0x1", "b0x1", "b1x1", "b2x1", "a1x1", "b3x1", "b4x1", "b5x1"]
    assert walk.finished


def test_two_loops_that_begin_with_the_same_node() -> None:
    walk = Walker(node("a"), until("i", (0,), (0,), 2), node("b", (1,)), until("o", (2,), (0, 1, 2), 2))
    seen = list(walk.began)
    for name in ("a", "a", "b", "a", "a", "b"):
        seen += walk(name)
    assert seen == ["a0x1", "a1x1", "b0x1", "a2x1", "a3x1", "b1x1"]
    assert walk.finished


def test_a_branch_in_a_loop_takes_another_way_in_each_pass() -> None:
    walk = Walker(
        branch("a"), node("b", (0,), takes=(0,)), node("c", (0,), takes=(1,)), until("u", (1, 2), (0, 1, 2), 2)
    )
    assert walk("a", BranchDecision(branch=1)) == ["c0x1"]
    assert walk("c") == ["a1x1"]
    assert walk("a", BranchDecision(branch=0)) == ["b0x1"]
    assert walk("b") == [] and walk.finished


def test_a_loop_that_is_not_entered_is_skipped_whole() -> None:
    walk = Walker(branch("a"), node("b", (0,), takes=(1,)), until("u", (1,), (1,), 3), node("c", (2,)), node("d", (0,)))
    assert walk("a") == ["d0x1"]
    assert walk("d") == [] and walk.finished


def test_an_entry_that_was_dead_from_outside_stays_so() -> None:
    walk = Walker(branch("a"), node("b", (0,), takes=(0,)), node("c", (0,), takes=(1,)), until("u", (1, 2), (1, 2), 2))
    assert walk("a") == ["b0x1"]
    assert walk("b") == ["b1x1"]
    assert walk("b") == [] and walk.finished


def test_a_loop_that_loses_does_not_run_again() -> None:
    walk = Walker(node("a"), until("u", (0,), (0,), 5), node("b"), node("join", (1, 2), need=1))
    assert walk.began == ["a0x1", "b0x1"]
    assert walk("a") == ["a1x1"]
    assert walk("b") == ["join0x1"]
    assert walk.lost == ["a"]
    assert not walk.walk.is_running(0, 1)
    assert walk("join") == [] and walk.finished


def test_losers_inside_a_loop_wait_again_in_the_next_pass() -> None:
    body = (node("a"), node("b"), node("join", (0, 1), need=1), until("u", (2,), (0, 1, 2), 2))
    walk = Walker(*body)
    assert walk("a") == ["join0x1"]
    assert walk.lost == ["b"]
    assert walk("join") == ["a1x1", "b1x1"]
    assert walk.walk.is_running(1, 1) and not walk.walk.is_running(1, 0)
    assert walk("b") == ["join1x1"]
    assert walk.lost == ["a"]
    assert walk("join") == [] and walk.finished


def test_a_body_with_one_foot_outside_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^node 'c' has predecessors both in the body of 'u' and outside of it$"):
        FlowShape(graph(node("a"), node("b", (0,)), node("c", (0, 1)), until("u", (2,), (1, 2), 2)), 7, 0, "p")
