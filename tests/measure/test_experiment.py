"""Servers that take turns, what is measured again, and contention beside the speed of the moment: in virtual time."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise

import pytest
from measure.virtual_bursts import EMBEDDED, QUICK, Virtual
from quiet import Quiet

from harness.core.levers import RAM_CACHE_BYTES
from harness.core.step_costs import StepCosts
from harness.measure.burst_design import EFFORTS, levels
from harness.measure.bursts import Carry
from harness.measure.calibrate import SENT_TOKENS, ToCalibrate, room_for
from harness.measure.experiment import ATTEMPTS, Experiment, Setting, experiments, pair_experiment, steady
from harness.profiles.fit import fit_contention, fit_setting
from harness.profiles.schema import DRIFT_BOUND
from harness.servers.spec import RunningServer
from harness.workload.schema import LlamaCppServer, OllamaServer


def test_contention_is_told_from_a_machine_that_has_become_slower() -> None:
    one = EMBEDDED._replace(decode_s=EMBEDDED.decode_s[:2], mixed_factor=1.0, before_s=0.0, after_s=0.0)
    other = EMBEDDED._replace(before_s=0.0, after_s=0.0)
    carry = Virtual([one, other], stretch=1.17)
    carry.speed_at = lambda number: 1.1
    result = asyncio.run(pair_experiment(carry, [one, other], QUICK, Quiet(), name="both"))
    assert fit_contention(result.fitted, [one, other]).factor == pytest.approx(1.17, rel=0.02)


def test_servers_that_are_all_up_take_turns() -> None:
    """The machine is a fifth slower from the middle on: what four slots gain over one is as it would have been."""
    one = EMBEDDED._replace(decode_s=EMBEDDED.decode_s[:2], mixed_factor=1.0)
    clock: list[str] = []

    def carry_of(name: str, costs: StepCosts) -> Virtual:
        carry = Virtual([costs])

        def speed_at(number: int) -> float:
            clock.append(name)
            return 1.2 if len(clock) > half else 1.0

        carry.speed_at = speed_at
        return carry

    def fitted() -> list[float]:
        clock.clear()
        settings = [Setting("a", carry_of("a", one), 1, 2048), Setting("b", carry_of("b", EMBEDDED), 4, 2048)]
        first, second = asyncio.run(experiments(settings, EFFORTS["default"], Quiet()))
        assert DRIFT_BOUND < first.drift < 0.25 or half == math.inf
        return [fit_setting(seen.fitted, levels(n), 512).costs.decode_s[1] for seen, n in ((first, 1), (second, 4))]

    half = math.inf
    steady_s = fitted()
    assert steady_s == pytest.approx([0.009, 0.009], rel=1e-6)
    half = len(clock) / 2
    drifted_s = fitted()
    assert 1.05 < drifted_s[0] / steady_s[0] < 1.19
    assert drifted_s[1] / drifted_s[0] == pytest.approx(1.0, abs=0.05)
    switches = sum(a != b for a, b in pairwise(clock))
    assert switches >= 8, "one after the other it would be one"


def settled(carry: Virtual, progress: Quiet) -> Experiment:
    async def once(again: Carry) -> Experiment:
        (found,) = await experiments([Setting("s", again, 4, 2048)], QUICK, progress)
        return found

    return asyncio.run(steady(once, carry, progress, "s"))


def test_what_was_measured_while_the_machine_changed_speed_is_measured_again() -> None:
    quiet, progress = Virtual([EMBEDDED]), Quiet()
    still = settled(quiet, progress)
    assert still.drift == pytest.approx(0, abs=1e-12)
    assert not any("again" in text for text in progress.said)

    carry = Virtual([EMBEDDED])
    carry.speed_at = lambda number: 1.0 if number < 10 else 1.25
    found = settled(carry, progress)
    assert found.drift == pytest.approx(0, abs=1e-12)
    assert found.first_s == pytest.approx(1.25 * (still.first_s - 0.011) + 0.011, rel=0.01), (
        "the second attempt, of the slower machine alone"
    )
    assert len(set(carry.keys)) == len(carry.keys), "no prompt is sent twice"
    (why,) = [text for text in progress.said if "again" in text]
    assert f"(2 of at most {ATTEMPTS} times)" in why and "(+2" in why and why.endswith("bound 5.0 %)")


def test_a_machine_that_never_keeps_its_speed_gives_the_steadiest_attempt() -> None:
    made = [Experiment((4,), (), (), 1.0, last_s) for last_s in (1.2, 0.9, 1.3, 1.0)]
    progress = Quiet()

    async def once(carry: Carry) -> Experiment:
        return made[len(progress.said)]

    found = asyncio.run(steady(once, Virtual([EMBEDDED]), progress, "s"))
    assert found is made[1], "the fourth, which did not drift, is never made"
    assert len(progress.said) == ATTEMPTS - 1


@pytest.mark.parametrize(
    ("details", "available_bytes", "fits"),
    [
        ({"size_bytes": 100}, 500, True),  # 4 times the slots are 4 times the size at most, and as many are once more
        ({"size_bytes": 100}, 499, False),
        ({"size_bytes": 100, "size_vram_bytes": 100}, 10**12, False),  # how much an accelerator has is not known
        ({}, 10**12, False),
    ],
)
def test_servers_are_up_together_only_where_they_are_sure_to_fit(
    details: dict[str, str | int | float], available_bytes: int, fits: bool
) -> None:
    server = RunningServer("s", "llamacpp", "http://s:1", "m", 1, True, "v", True, True, details)
    others = [ToCalibrate(f"s{n}", LlamaCppServer(kind="llamacpp", slots=n)) for n in (4, 1)]
    assert room_for(others, server, 1, available_bytes) is fits


def test_room_for_the_prompts_that_each_ollama_keeps() -> None:
    """8 GiB of each, the one that is up too; where a token's bytes are known, no more than are sent."""
    server = RunningServer("s", "ollama", "http://s:1", "m", 1, True, "v", True, True, {"size_bytes": 100})
    small = server._replace(details=server.details | {"kv_bytes_per_token": 1000})
    spec = OllamaServer(kind="ollama", model="m")
    others = [ToCalibrate("s1", spec)]
    assert room_for(others, server, 1, 100 + 2 * RAM_CACHE_BYTES)
    assert not room_for(others, server, 1, 99 + 2 * RAM_CACHE_BYTES)
    assert room_for(others, small, 1, 100 + 2 * SENT_TOKENS * 1000)
    assert not room_for(others, small, 1, 99 + 2 * SENT_TOKENS * 1000)
    assert room_for([ToCalibrate("s1", spec.with_levers({"ram_cache": "off"}))], server, 1, 100)
