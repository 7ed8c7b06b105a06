"""Settings as the commands of a gateway, for programs whose code is not the reader's."""

from __future__ import annotations

import shlex

from harness.core.policies import STANDARD
from harness.deploy.deployment import Deployment
from harness.deploy.serve import serve_lines

__all__ = ["gateway_texts"]


def gateway_texts(deployment: Deployment) -> dict[str, str]:
    """Return the servers' commands and the gateway's, or why there is none."""
    return {
        "": "\n".join(["# for programs whose code is not yours; each in a terminal of its own", *_lines(deployment)])
        + "\n"
    }


def _lines(deployment: Deployment) -> list[str]:
    servers = deployment.servers
    uses = [server.use for server in servers]
    reason = ""
    if len({(use.concurrency, use.scheduling) for use in uses}) > 1 or (len(servers) > 1 and deployment.pool is None):
        reason = "each of these servers has calls or policies of its own"
    for use in uses:
        concurrency, scheduling = STANDARD.concurrency.get(use.concurrency), STANDARD.scheduling.get(use.scheduling)
        if concurrency is None or scheduling is None:
            reason = "name your own policies: slotwise serve --upstream URL --from RUN --policies FILE"
        elif scheduling.needs_jobs:
            reason = f"{scheduling.name} goes by what a workload says of its jobs, and a gateway sees single calls"
    if reason:
        return [f"# no gateway does this by its options: {reason}"]
    use, concurrency = uses[0], STANDARD.concurrency[uses[0].concurrency]
    words = ["slotwise serve", *(f"--upstream {shlex.quote(server.url)}" for server in servers)]
    if servers[0].openai:
        words += [f"--model {shlex.quote(use.model)}"] * bool(use.model)
        words += [f"--upstream-key-env {use.key_variable}"] * bool(use.key_variable)
    words += [f"--slots {each.slots}" for each in (uses[:1] if len({one.slots for one in uses}) == 1 else uses)]
    words.append(f"--concurrency {use.concurrency}")
    if "limit" in concurrency.settings and use.limit not in (None, use.slots):
        words.append(f"--limit {use.limit}")
    if use.batch_limit is not None and use.limit is not None and "reserve" in concurrency.settings:
        words.append(f"--reserve {use.limit - use.batch_limit}")
    words.append(f"--scheduling {use.scheduling}")
    if deployment.pool is not None:
        words.append(f"--placement {deployment.pool.policy}")
    return [*serve_lines(deployment), " ".join(words)]
