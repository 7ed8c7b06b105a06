"""The texts of a job: loops, sub-pipelines, lists, what was skipped."""

from __future__ import annotations

from collections.abc import Mapping

from harness.workload.reads import Loop, Readable, Result
from harness.workload.texts import Texts, listed


def render(
    pipeline: str, who: int, node: str, item: int, texts: Mapping[str, tuple[str, ...]]
) -> tuple[str | None, str]:
    return None, " ".join(f"{name}={'+'.join(texts[name])}" for name in sorted(texts))


def one(*names: str) -> tuple[Result, ...]:
    return (Result(names),)


USES = {
    ("p", "draft"): Readable({}, "", starts=False),
    ("p", "r/critic"): Readable({"input": one("draft")}, "r", starts=True),
    ("p", "r/aside"): Readable({"input": one("draft"), "critic": one("r/critic")}, "r", starts=False),
    ("p", "r/editor"): Readable(
        {"input": one("draft"), "critic": one("r/critic"), "aside": one("r/aside")}, "r", starts=False
    ),
    ("p", "last"): Readable({"r": (Result(("r/editor",), ("r/critic",)),)}, "", starts=False),
    ("p", "work"): Readable({"draft": one("draft")}, "", starts=False),
}
LOOPS = {("p", "r"): Loop(frozenset({"r/critic", "r/aside", "r/editor"}), one("r/editor"))}


def texts() -> Texts[str, tuple[str | None, str]]:
    return Texts(render, USES, LOOPS, {("p", "work"): "draft"}, listed=listed)


def say(texts: Texts[str, tuple[str | None, str]], node: str, text: str, iteration: int = 0, item: int = 0) -> str:
    """Make a call and keep its answer; return the prompt."""
    prompt = texts.prompt("p", 0, node, item, iteration)[1]
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
    job.prompt("p", 0, "r/critic", 0, 1)
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
