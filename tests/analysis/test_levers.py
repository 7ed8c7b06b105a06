"""Levers in reports of a run: which servers had them, what decides where candidates tie, what is to be copied."""

from __future__ import annotations

from analysis import records as make
from analysis.scenarios import FIVE, scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.analysis.verdict import simplicity
from harness.report.markdown import markdown_report
from harness.runs.model import Run, ServerFacts
from harness.wording.run_answer import run_answer

OFF = {"ram_cache": "off", "ram_cache_known_from": "its log"}


def measured(one: dict[str, str], four: dict[str, str], four_s: float) -> Run:
    """A digest of a second on one slot, and of another time on a server that has one slot too but for its levers."""
    run = scenario({"serial": steady(1.0, FIVE), "batched": steady(four_s, FIVE)})

    def server(name: str, details: dict[str, str]) -> ServerFacts:
        facts = make.server(name, 1, kind="ollama")
        return facts._replace(details={**facts.details, **details})

    return run._replace(servers=(server("one-slot", one), server("four-slot", four)))


def chosen(found: Analysis) -> str | None:
    return found.choice.candidate


def test_a_server_is_used_with_what_is_not_as_usual() -> None:
    found = analyse(measured({"ram_cache": "on", "kv_unified": "off"}, {**OFF, "kv_unified": "on"}, 1.0))
    levers = {use.server: use.levers for candidate in found.candidates for use in candidate.servers}
    assert levers == {"one-slot": (), "four-slot": (("ram_cache", "off"), ("kv_unified", "on"))}


def test_of_two_that_are_else_as_simple_the_one_without_levers_is_simpler() -> None:
    plain, pulled = (analyse(measured({}, four, 1.0)).by_name["batched"] for four in ({}, OFF))
    assert simplicity(plain) == (*simplicity(pulled)[:-1], 0)
    assert simplicity(pulled)[-1] == 1
    assert chosen(analyse(measured({}, OFF, 1.0))) == "serial"
    assert chosen(analyse(measured({}, OFF, 0.7))) == "batched"  # a lever that is worth it


def test_the_answer_and_the_report_say_them_with_their_risk() -> None:
    found = analyse(measured({}, OFF, 0.7))
    answer = run_answer(found)
    assert answer.headline == "Run serially: 1 slot, without the RAM prompt cache, at most 4 calls at once."
    (do,) = (part for part in answer.parts if part.title == "Do this")
    said = [line.text for line in do.lines]
    assert said[0] == "OLLAMA_NUM_PARALLEL=1 OLLAMA_CONTEXT_LENGTH=2048 LLAMA_ARG_CACHE_RAM=0 ollama serve"
    assert said[1].startswith("Without the RAM prompt cache: a conversation that had to leave its slot is read again")
    text = markdown_report(found, ())
    assert "four-slot: 1 slot, without the RAM prompt cache, " in text
    assert "ram_cache off, ram_cache_known_from its log" in text
