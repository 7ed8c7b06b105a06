"""A probe on a busy machine: calls that were sent too far apart are sent again, longer, and then it says "at least"."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from analysis import records as make
from rich.console import Console

from harness.analysis.analyse import analyse
from harness.analysis.facts import SlotsDiffer
from harness.analysis.levels import Level, Levels
from harness.analysis.slots_asked import CountedSlots
from harness.core.records import CallRecord
from harness.measure import probe
from harness.measure.probe import PROBE_TOKENS, find_slots
from harness.measure.sender import Endpoint
from harness.report.levels import levels_report
from harness.servers.spec import RunningServer
from harness.wording.levels_answer import levels_answer
from harness.wording.notices import notice_text

SERVER = RunningServer("busy", "ollama", "http://fake:1", "m", 4, False, "", False, False, {})


def sent(at_s: float, held_s: float) -> CallRecord:
    call = make.call()
    reply = call.reply._replace(sent_s=at_s, end_s=at_s + held_s, prefill_s=0.0, decode_s=held_s, total_s=held_s)
    return call._replace(reply=reply)


def look(monkeypatch: pytest.MonkeyPatch, apart_s: float, token_s: float) -> tuple[CountedSlots, list[int], list[str]]:
    """Count the slots of a server with ten, for which each call leaves so much later than the one before."""
    asked: list[int] = []

    async def burst(endpoint: Any, concurrent: int, tokens: int, *, key: int) -> list[CallRecord]:
        asked.append(tokens)
        return [sent(number * apart_s, tokens * token_s) for number in range(min(concurrent, 10))]

    monkeypatch.setattr(probe, "burst", burst)
    said: list[str] = []
    endpoint = Endpoint(SERVER, None, None)  # type: ignore[arg-type]  # nothing is sent
    return asyncio.run(find_slots(endpoint, rounds=1, say=said.append)), asked, said


def test_calls_that_leave_together_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked, said = look(monkeypatch, apart_s=0.0, token_s=0.01)
    assert (found.number, said) == (10, []) and set(asked) == {PROBE_TOKENS}


def test_calls_that_leave_far_apart_are_sent_again_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked, said = look(monkeypatch, apart_s=0.05, token_s=0.01)  # 0.24 s long, over 0.35 s and more
    assert (found.number, said) == (10, []) and max(asked) == 4 * PROBE_TOKENS


def test_where_longer_ones_are_no_better_there_are_at_least_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked, (said,) = look(monkeypatch, apart_s=0.5, token_s=0.01)
    assert 1 < found.number < 10 and max(asked) == 16 * PROBE_TOKENS
    assert said.startswith(f"busy: at least {found.number} slots: this machine was so busy that calls sent at")


def test_it_is_known_that_there_may_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, apart_s=0.0, token_s=0.01)[0] == CountedSlots(10)
    assert look(monkeypatch, apart_s=0.5, token_s=0.01)[0].at_least


def test_what_may_be_more_is_said_where_slots_are_shown() -> None:
    rows = (Level(1, 4.0, 25.0, 26.5, 0.0, 0),)
    levels = Levels("busy", 16, 10, rows, "measured", slots_at_least=True)
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(levels_report([levels]))
    assert "slots: at least 10 found, 16 requested" in console.export_text()
    assert "at least 10 slots: this machine was so busy" in " ".join(levels_answer([levels]).warnings)


def test_a_run_says_it_whether_or_not_slots_were_asked_for() -> None:
    for asked in (None, 16):
        facts = make.server("busy", 16)._replace(slots_asked=asked, slots_found=10, slots_at_least=True)
        found = analyse(make.run(servers=(facts,)))
        (said,) = [notice for notice in found.notices if isinstance(notice, SlotsDiffer)]
        assert notice_text(said).startswith("busy: at least 10 slots: this machine was so busy")
