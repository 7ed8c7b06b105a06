"""Settings as Python code: the limits of a deployment for asyncio, LangChain and LangGraph.

Each has a template in `templates/`, and `parts.j2` what they have in common. Python names always have a prefix or a
suffix, so that a server called `ollama` or `class` shadows nothing.

The clients ask for what the clients of a run ask for (`harness.drivers.chat`): no thinking unless an agent thinks, and
its `num_ctx` and `keep_alive` where it has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from harness.deploy.deployment import DeployedServer, Deployment
from harness.units import count

if TYPE_CHECKING:
    from jinja2 import Environment

    from harness.analysis.model import AgentUse

__all__ = ["code_texts", "limit_lines"]


def code_texts(library: str, deployment: Deployment) -> dict[str, str]:
    """Return the code of a template: "asyncio", "langchain" or "langgraph"."""
    template = _environment().get_template(f"{library}.py.j2")
    others = "".join(
        f"# {server.use.server} is no Ollama: call it with your client for {kind.engine_name}; the limit is the same.\n"
        for server in deployment.servers
        if (kind := server.other_kind) is not None and not kind.openai_client
    )
    return {
        "": others
        + template.render(
            servers=deployment.servers,
            pool=deployment.pool,
            model=deployment.model,
            ollama=any(not server.openai for server in deployment.servers),
            openai=any(server.openai for server in deployment.servers),
            keys=any(server.openai and server.use.key_variable for server in deployment.servers),
            pool_agents=_once(use for server in deployment.servers for use in server.use.agents),
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
    environment.filters["langchain"] = _langchain
    environment.filters["ollama"] = _ollama
    environment.filters["openai"] = _openai
    environment.filters["name"] = json.dumps
    return environment


def _once(uses: Iterable[AgentUse]) -> tuple[AgentUse, ...]:
    """Return each agent once, whichever servers its calls went to."""
    return tuple({use.agent: use for use in uses}.values())


def _langchain(use: AgentUse | None, model: str = "MODEL") -> str:
    """Write the arguments of a ChatOllama for the calls of an agent; None: of all others."""
    asked = _asked(use, "reasoning").items()
    return ", ".join((_model(use, model), *(f"{name}={_value(value)}" for name, value in asked)))


def _ollama(use: AgentUse | None, model: str = "MODEL") -> str:
    """Write the same as arguments of `chat` of Ollama's own client."""
    asked = _asked(use, "think")
    options = {"num_ctx": asked.pop("num_ctx")} if "num_ctx" in asked else {}
    return f"dict({', '.join((_model(use, model), *(f'{name}={_value(value)}' for name, value in asked.items())))}" + (
        f", options={json.dumps(options)})" if options else ")"
    )


def _openai(use: AgentUse | None, model: str = "MODEL") -> str:
    """Write what a client of OpenAI's API is told; its calls cannot ask for a context or a keep-alive."""
    thinks = ', extra_body={"chat_template_kwargs": {"enable_thinking": True}}' if use is not None and use.think else ""
    return _model(use, model) + thinks


def _model(use: AgentUse | None, model: str) -> str:
    return f"model={json.dumps(use.model) if use is not None and use.model else model}"


def _asked(use: AgentUse | None, think: str) -> dict[str, Any]:
    """Return what the calls of an agent ask for, by what a client calls it."""
    if use is None:
        return {think: False}
    asked = {"num_ctx": use.num_ctx, "keep_alive": use.keep_alive, think: use.think}
    return {name: value for name, value in asked.items() if value is not None}


def _value(value: object) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


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
