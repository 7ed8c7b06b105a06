"""Recommendations where agents ask for contexts of their own: what is tried, and what the answer says of the loads."""

from __future__ import annotations

from pathlib import Path

from quiet import Quiet
from recommend.workloads import MADE_UP, UNKNOWN, loaded_of, paper

from harness.predict.servers import Profiles
from harness.recommend.answer import recommend
from harness.recommend.evaluate import Problem
from harness.recommend.facts import MemoryNeed, NoTwoServers
from harness.recommend.space import Space, design_space
from harness.recommend.workers import in_process
from harness.wording.search_answer import search_answer
from harness.wording.searches import excluded_text, memory_text

WORKLOAD = """
version: 1
name: contexts
pipelines:
  digest:
    path: batch
    jobs: 2
    nodes:
      read: {agent: {prompt: "A text.", output_tokens: 8, num_ctx: 8192}}
      join: {agent: {prompt: "Join them.", output_tokens: 8, JOIN}, after: [read]}
  chat:
    path: interactive
    jobs: 2
    arrival: {closed: 1, think_s: 1}
    nodes:
      reply: {agent: {prompt: "A short question.", output_tokens: 8, REPLY}}
servers:
  ollama: {kind: ollama, model: gemma4}
"""


def space_of(folder: Path, join: str, reply: str) -> Space:
    text = WORKLOAD.replace("JOIN", join).replace("REPLY", reply)
    return design_space(loaded_of(folder, text), paper(folder))


def test_two_servers_are_tried_where_none_of_them_loads_a_model_again(tmp_path: Path) -> None:
    """One model with two contexts is loaded again by one server, and by two that share all calls; by neither of two
    with a path each."""
    space = space_of(tmp_path, "num_ctx: 8192", "num_ctx: 2048")
    pairs = [candidate.plan for candidate in space.candidates if len(candidate.plan.queues) == 2]
    assert pairs and all(place in (0, 1) for plan in pairs for row in plan.placement for place in row)
    assert NoTwoServers("loads", "paper") in space.left_out
    alike = space_of(tmp_path, "num_ctx: 8192", "num_ctx: 8192")
    assert len(alike.candidates) > len(space.candidates)
    assert NoTwoServers("loads", "paper") not in alike.left_out


def test_two_servers_are_left_out_where_one_loads_a_model_again(tmp_path: Path) -> None:
    for join, reply in (("num_ctx: 2048", "num_ctx: 2048"), ("num_ctx: 8192", "num_ctx: 8192, keep_alive: 5s")):
        space = space_of(tmp_path, join, reply)
        assert {len(candidate.plan.queues) for candidate in space.candidates} == {1}
        assert [candidate.number for candidate in space.candidates] == list(range(len(space.candidates)))
        assert space.loaded.plans == tuple(candidate.plan for candidate in space.candidates)
        (left_out,) = (excluded_text(item) for item in space.left_out if isinstance(item, NoTwoServers))
        assert left_out.startswith("two servers side by side of which one loads a model again")


def test_the_answer_says_what_the_loads_cost(tmp_path: Path) -> None:
    """`load_s` is given, and is no cost of a step."""
    space = space_of(tmp_path, "num_ctx: 2048", "num_ctx: 2048")
    given, profile = {"load_s": 0.5}, paper(tmp_path)
    problem = Problem(space.loaded, Profiles(profile), given)
    found = recommend(
        space, problem, profile, in_process(problem), Quiet(), memory=UNKNOWN, seeds=2, given=given, resamples=0
    )
    (part,) = (part for part in search_answer(found.recommendation).parts if part.title == "Loads")
    (line,) = part.lines
    assert line.text.startswith("Agents ask gemma4 for 2048 and 8192 tokens of context, so Ollama loads it")
    assert line.text.endswith("give all of them num_ctx 8192, and it is loaded once.")
    assert found.recommendation.bounds


def test_memory_counts_the_largest_context_that_is_asked_for_on_each_server(tmp_path: Path) -> None:
    """1000 bytes a token. One server for all loads 8192 tokens a slot; of a pair the interactive one loads 2048."""
    text = WORKLOAD.replace("JOIN", "num_ctx: 8192").replace("REPLY", "num_ctx: 2048")
    loaded, profile = loaded_of(tmp_path, text), paper(tmp_path)
    memory, one_slot = MemoryNeed(0, 1000.0, None, *MADE_UP), round(1.1 * 8192 * 1000)

    def found(limit_bytes: int) -> set[tuple[int, ...]]:
        space = design_space(loaded, profile, fits=memory._replace(limit_bytes=limit_bytes).too_much)
        return {tuple(queue.slots for queue in candidate.plan.queues) for candidate in space.candidates}

    assert found(one_slot) == {(1,)}
    assert found(round(1.1 * (8192 + 2048) * 1000)) == {(1,), (1, 1)}
    assert (4,) not in found(4 * one_slot - 1)
    assert (4,) in found(4 * one_slot)
    (said,) = (line for line in memory_text(memory._replace(asked_tokens=8192), None).split(". ") if "num_ctx" in line)
    assert said == "Where an agent asks for a context (num_ctx, 8192 tokens at most), that one counts"
