"""The texts of a job: loops, sub-pipelines, lists, what was skipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.records import Reply
from harness.drivers.virtual import simulate
from harness.workload.load import load_workload
from harness.workload.reads import Loop, Readable, Result
from harness.workload.texts import Texts, listed


def render(
    pipeline: str, who: int, node: str, item: int, texts: Mapping[str, tuple[str, ...]]
) -> tuple[str | None, str]:
    return None, " ".join(f"{name}={'+'.join(texts[name])}" for name in sorted(texts))


def one(*names: str) -> tuple[Result, ...]:
    return (Result(names),)


USES = {
    ("p", "draft"): Readable({}),
    ("p", "r/critic"): Readable({"input": one("draft")}, ("r",)),
    ("p", "r/aside"): Readable({"input": one("draft"), "critic": one("r/critic")}, ("r",)),
    ("p", "r/editor"): Readable({"input": one("draft"), "critic": one("r/critic"), "aside": one("r/aside")}, ("r",)),
    ("p", "last"): Readable({"r": (Result(("r/editor",), ("r/critic",)),)}),
    ("p", "work"): Readable({"draft": one("draft")}),
}
LOOPS = {("p", "r"): Loop(frozenset({"r/critic", "r/aside", "r/editor"}), one("r/editor"))}


def texts() -> Texts[str, tuple[str | None, str]]:
    return Texts(render, USES, LOOPS, {("p", "work"): "draft"}, listed=listed)


def say(texts: Texts[str, tuple[str | None, str]], node: str, text: str, iteration: int = 0, item: int = 0) -> str:
    """Make a call and keep its answer; return the prompt."""
    prompt = texts.prompt("p", 0, node, item, iteration, -1, (iteration,) * len(USES["p", node].loops))[1]
    texts.keep("p", 0, node, item, text, iteration)
    return prompt


def test_a_loop_sees_its_input_and_its_last_pass() -> None:
    job = texts()
    say(job, "draft", "d")
    assert say(job, "r/critic", "c0") == "input=d previous=d"
    assert say(job, "r/aside", "a0") == "critic=c0 input=d previous=d"
    assert say(job, "r/editor", "e0") == "aside=a0 critic=c0 input=d previous=d"
    assert say(job, "r/critic", "c1", 1) == "input=d previous=e0"
    # `aside` was skipped in this pass: what it said in the first is not taken for what it says now
    assert say(job, "r/editor", "e1", 1) == "aside= critic=c1 input=d previous=e0"
    assert say(job, "last", "l") == "r=e1"


def test_what_was_skipped_has_no_text() -> None:
    job = texts()
    say(job, "draft", "d")
    say(job, "r/critic", "c0")
    assert say(job, "last", "l") == "r=c0"  # it ended at a label that nobody takes: the branch's own answer
    assert say(texts(), "last", "l") == "r="


def test_items_of_a_list_are_used_in_turn() -> None:
    job = texts()
    say(job, "draft", 'Steps: ["a", "b"]')
    assert [say(job, "work", "", item=i).split()[-1] for i in range(5)] == [f"item={c}" for c in "ababa"]


def test_an_answer_without_a_list_is_the_only_item() -> None:
    for answer in ("plain", "[]"):
        job = texts()
        say(job, "draft", answer)
        assert say(job, "work", "", item=1) == f"draft={answer} item={answer}"


def test_answers_that_come_too_late_are_dropped() -> None:
    job = texts()
    say(job, "draft", "d")
    say(job, "r/critic", "c0")
    job.prompt("p", 0, "r/critic", 0, 1, -1, (1,))
    job.keep("p", 0, "r/critic", 0, "late", 0)
    assert say(job, "r/editor", "e", 1) == "aside= critic= input=d previous=d"
    job.forget("p", 0)
    job.keep("p", 0, "draft", 0, "after the job")  # a loser that was left to run
    assert not job._jobs


def test_answers_of_several_calls_are_joined_in_their_order() -> None:
    job = texts()
    for item in (2, 0):
        say(job, "draft", f"d{item}", item=item)
    assert say(job, "r/critic", "c") == "input=d0+d2 previous=d0+d2"


NESTED = """
version: 1
name: nested
control: draws
subpipelines:
  inner:
    nodes:
      a: {agent: {prompt: "{input} {previous}", output_tokens: 1}}
  outer:
    nodes:
      first: {pipeline: inner, repeat: {max: 2}}
      second: {agent: {prompt: "{input} {previous} {first}", output_tokens: 1}, after: [first], repeat: {max: 2}}
      third: {agent: {prompt: "{input} {previous} {second}", output_tokens: 1}, after: [second]}
pipelines:
  p:
    path: batch
    jobs: 1
    nodes:
      d: {agent: {prompt: "Go.", output_tokens: 1}}
      o: {pipeline: outer, after: [d], repeat: {max: 2}}
      z: {agent: {prompt: "{o}", output_tokens: 1}, after: [o]}
"""


def test_a_loop_in_a_loop_is_entered_anew_and_the_outer_one_sees_its_own_last_pass(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(NESTED)
    loaded = load_workload(path)
    said: list[str] = []
    job: Texts[str, tuple[str | None, str]] = Texts(render, loaded.uses, loaded.loops, loaded.lists(), listed=listed)
    (spec,) = loaded.pipelines

    def serve(call: Call, now_s: float) -> Reply:
        node = spec.graph.nodes[call.node].name
        prompt = job.prompt("p", call.job, node, call.item, call.iteration, call.session, call.passes)[1]
        answer = f"{node.split('/')[-1] if node != 'o/second' else 's'}{call.iteration}"
        said.append(f"{answer}: {prompt}")
        job.keep("p", call.job, node, call.item, answer, call.iteration)
        return Reply("ok", now_s, now_s, now_s + 1)

    simulate(Engine(loaded.pipelines, loaded.plans[0], origin="predicted"), serve, lambda _: None)
    assert said == [
        "d0: ",
        *("a0: input=d0 previous=d0", "a1: input=d0 previous=a0"),
        *("s0: first=a1 input=a1 previous=a1", "s1: first=a1 input=a1 previous=s0"),
        "third0: first=a1 input=d0 previous=d0 second=s1",
        # The outer loop's next pass. The loop it begins with has no pass before; it starts from what came in.
        *("a2: input=d0 previous=d0", "a3: input=d0 previous=a2"),
        *("s2: first=a3 input=a3 previous=a3", "s3: first=a3 input=a3 previous=s2"),
        "third1: first=a3 input=d0 previous=third0 second=s3",
        "z0: d=d0 o=third1",
    ]


def test_an_answer_of_the_pass_before_is_none_of_this_one() -> None:
    job = texts()
    say(job, "draft", "d")
    say(job, "r/critic", "c0")
    job.prompt("p", 0, "r/aside", 0, 0, -1, (0,))  # others were enough; it is left to run
    say(job, "r/editor", "e0")
    say(job, "r/critic", "c1", 1)
    job.keep("p", 0, "r/aside", 0, "late", 0)
    assert say(job, "r/editor", "e1", 1) == "aside= critic=c1 input=d previous=e0"
