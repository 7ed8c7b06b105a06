"""Which calls go on with the prompt of one before, so that a server may find it again."""

from __future__ import annotations

from collections.abc import Hashable

from harness.core.events import Call
from harness.drivers.modelled import Thread
from harness.workload.load import Loaded

__all__ = ["thread_of"]


def thread_of(loaded: Loaded) -> Thread | None:
    """Return whose prompt a call's goes on with, where the workload lets servers keep it; None where it never does."""
    reuses = [p.session is not None and p.session.reuse_prefix for p in loaded.pipelines]
    if not any(reuses):
        return None

    def thread(call: Call) -> Hashable | None:
        return (call.pipeline, call.session, call.node, call.item) if reuses[call.pipeline] else None

    return thread
