"""A workload as a use case loads it: with the changes asked for, and with every policy that it may name."""

from __future__ import annotations

from pathlib import Path

from harness.app.options import Changes
from harness.core.policies import Policies
from harness.own_policies import read_policies
from harness.workload.load import Loaded, Overrides, load_workload

__all__ = ["load"]


def load(
    file: Path,
    changes: Changes = Changes(),
    *,
    repeats: int | None = None,
    warmup: int | None = None,
    policies: Policies | None = None,
) -> Loaded:
    """Load, check and compile the workload in a file.

    Args:
        file: the workload.
        changes: what is to be different in it.
        repeats, warmup: how often it is to be measured, where that is to be different too.
        policies: those that it may name, where they have been read already.

    Raises:
        WorkloadError: what is wrong in the file, a line for each mistake.
        PolicyError: the policies file cannot be executed, or a policy breaks its contract.
        UserError: a change that cannot be made.
    """
    overrides = Overrides(
        engine=changes.engine,
        model=changes.model,
        server_urls=dict(changes.servers),
        repeats=repeats,
        warmup=warmup,
        scale=None if changes.scale == 1 else changes.scale,
        seed=changes.seed,
        only=changes.only,
    )
    known = read_policies(changes.policies) if policies is None else policies
    loaded = load_workload(file, overrides, known)
    for plan in loaded.plans:  # a policy whose limit is none shows at once, and not when its first call is ready
        for queue in plan.queues:
            _ = queue.most, queue.most_batch
    return loaded
