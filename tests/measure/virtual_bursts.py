"""A machine whose true costs are known, in virtual time: for tests of what calibration finds out about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from quiet import Quiet

from harness.core.machine import Machine, SharedServer
from harness.core.records import CallRecord
from harness.core.server_model import ServerModel
from harness.core.step_costs import StepCosts
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import simulate
from harness.measure.burst_design import EFFORTS, Burst
from harness.measure.bursts import engine_of
from harness.measure.experiment import Experiment, Setting, experiments
from harness.profiles.compile import noise

QUICK = EFFORTS["quick"]


class Virtual:
    """Carries bursts out on server models, through the engine and the virtual driver."""

    def __init__(self, costs: Sequence[StepCosts], stretch: float = 1.0, noise_sd: float = 0.0, seed: int = 1) -> None:
        self.costs = list(costs)
        self.stretch = stretch
        self.noise_sd = noise_sd
        self.seed = seed
        self.bursts: list[Burst] = []
        self.keys: list[tuple[Burst, int]] = []
        self.speed_at: Callable[[int], float] = lambda number: 1.0
        self.left: list[tuple[tuple[int, int], ...]] = [()] * len(self.costs)  # what the burst before left in the slots

    async def __call__(self, burst: Burst, key: int) -> list[CallRecord]:
        number = len(self.bursts)
        self.bursts.append(burst)
        self.keys.append((burst, key))
        slower = self.speed_at(number)
        models = [
            ServerModel(
                cost._replace(
                    decode_s=tuple(s * slower for s in cost.decode_s),
                    prefill=tuple((n, s * slower) for n, s in cost.prefill),
                ),
                noise=noise(self.noise_sd, self.seed, number, i) if self.noise_sd else None,
                left=self.left[i],
            )
            for i, cost in enumerate(self.costs)
        ]
        shared = Machine(models, {2: self.stretch}).servers if len(models) > 1 else None
        servers: Sequence[ServerModel | SharedServer] = shared or models
        queues = [
            ModelledServer(server, cost.before_s, cost.after_s, gap_s=cost.gap_s)
            for server, cost in zip(servers, self.costs, strict=True)
        ]
        records: list[CallRecord] = []
        groups = burst.groups
        backend = ModelledServers(
            queues, lambda call: (groups[call.pipeline].prompt_tokens, groups[call.pipeline].output_tokens)
        )
        simulate(
            engine_of(burst, [f"s{i}" for i in range(len(queues))], "predicted"),
            backend,
            lambda record: records.append(record) if isinstance(record, CallRecord) else None,
        )
        self.left = [models[0] for models in backend.left]
        return records


def seen(
    carry: Virtual, slots: int, effort: str = "quick", progress: Quiet | None = None, *, accelerated: bool = False
) -> Experiment:
    setting = Setting("s", carry, slots, 2048, accelerated)
    (found,) = asyncio.run(experiments([setting], EFFORTS[effort], progress or Quiet()))
    return found


EMBEDDED = StepCosts(
    decode_s=(0.0, 0.009, 0.018, 0.0215, 0.0245),
    prefill=((1, 0.004),),
    prompt_step_s=0.003,
    prompt_context_s=1.5e-6,
    context_s_per_token=2.0e-6,
    mixed_factor=0.85,
    batch_tokens=512,
    before_s=0.004,
    after_s=0.004,
)
