"""Settings as Python code: the limits of a deployment for asyncio, LangChain and LangGraph.

Each has a template in `templates/`, and `parts.j2` what they have in common. Python names always have a prefix or a
suffix, so that a server called `ollama` or `class` shadows nothing.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from harness.deploy.deployment import DeployedServer, Deployment
from harness.units import count

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["code_texts", "limit_lines"]


def code_texts(library: str, deployment: Deployment) -> dict[str, str]:
    """Return the code of a template: "asyncio", "langchain" or "langgraph"."""
    template = _environment().get_template(f"{library}.py.j2")
    others = "".join(
        f"# {server.use.server} is no Ollama: call it with your client for {kind.engine_name}; the limit is the same.\n"
        for server in deployment.servers
        if (kind := server.other_kind) is not None
    )
    return {
        "": others
        + template.render(
            servers=deployment.servers,
            pool=deployment.pool,
            ordered=any(server.ordered for server in deployment.servers),
            reserved=any(server.reserved for server in deployment.servers),
            embeds=() if deployment.pool else [model for one in deployment.servers for model in one.use.embeds],
        )
    }


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # What comes out is Python, not HTML.
    environment = Environment(  # noqa: S701
        loader=PackageLoader(__package__, "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["calls"] = lambda number: count(number, "call")
    return environment


def limit_lines(deployment: Deployment) -> tuple[str, ...]:
    """Return the limits in short, for a reader who knows what to do with a semaphore."""
    if deployment.pool:
        return ("# one queue for all of these servers, as code: --settings asyncio, langchain or langgraph",)
    return tuple(line for server in deployment.servers for line in _limits(server))


def _limits(server: DeployedServer) -> list[str]:
    use, name, n = server.use, server.identifier, server.use.limit
    if n is None:
        lines = [f"# {use.server}: no limit in code; the server's own queue decides"]
    elif server.ordered:  # a semaphore alone would be first come, first served
        how = f"at most {count(n, 'call')} at once, {use.scheduling.replace('-', ' ')}"
        lines = [f"# {use.server}: {how}: --settings asyncio, langchain or langgraph"]
    elif server.wave is not None:
        lines = [f"# {use.server}: gather {count(n, 'call')}, wait for all of them, then the next {n}"]
    else:
        lines = [f"{name} = asyncio.Semaphore({n})  # LangChain: config={{'max_concurrency': {n}}}"]
    if server.reserved and not server.ordered:
        lines.append(f"{name}_batch = asyncio.Semaphore({use.batch_limit})  # batch calls take this one first")
    return lines
