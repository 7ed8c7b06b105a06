"""A simulated server that is met by URL, as any running one: what is found there is called emulated."""

from __future__ import annotations

import asyncio

from quiet import Quiet

from harness.core.step_costs import StepCosts
from harness.measure.probe import burst, measure_levels
from harness.measure.session import opened
from harness.servers.fronts import child
from harness.servers.simulated_engine import SimulatedConfig
from harness.workload.schema import OllamaServer

COSTS = StepCosts(decode_s=(0.0, 0.004, 0.005), prefill=((1, 1e-5),))


def test_levels_by_url_is_emulated() -> None:
    """And the faults of the server leave it alone: they are meant for runs."""

    async def steps() -> None:
        config = {
            "engine": SimulatedConfig("sim", "test", COSTS, 2048).to_json(),
            "faults": {"rates": {"503": 0.5, "cut": 0.5}, "seed": 1, "delay_s": 0.0},
        }
        async with child("x", "simulated", config) as ready:
            spec = OllamaServer(kind="ollama", model="sim", url=ready["url"])
            async with opened("x", spec, Quiet()) as endpoint:
                found = await measure_levels(endpoint, Quiet(), levels=(1, 2), tokens=20)
                calls = await burst(endpoint, 2, 3, key=5)
        assert found.origin == "emulated"
        assert {call.origin for call in calls} == {"emulated"}
        assert {call.reply.output_tokens for call in calls} == {3}

    asyncio.run(steps())
