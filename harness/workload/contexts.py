"""What check says of contexts and keep-alives that single agents ask for."""

from __future__ import annotations

from collections.abc import Iterator

from harness.workload.load import Loaded
from harness.workload.model_calls import model_calls
from harness.workload.schema import AgentSpec

__all__ = ["asks_of_runners", "context_hints"]


def asks_of_runners(agent: AgentSpec) -> bool:
    """Tell whether an agent's calls say which context their model has, or how long it is kept."""
    return _asks_context(agent) or _asks_keep(agent)


def context_hints(loaded: Loaded) -> Iterator[str]:
    """Yield where agents have an Ollama load its model again, and where what they ask for changes nothing."""
    asked: dict[tuple[str, str], dict[int | None, dict[str, None]]] = {}
    for call in model_calls(loaded, lambda agent: True):
        num_ctx = loaded.agents[call.pipeline, call.node].num_ctx
        context = loaded.servers[call.server].context_for(num_ctx)
        asked.setdefault((call.server, call.model), {}).setdefault(context, {})[f"{call.pipeline}.{call.node}"] = None
    for (server, model), nodes in asked.items():
        if len(nodes) > 1:
            contexts = sorted(nodes, key=lambda context: context or 0)
            parts = (f"{', '.join(nodes[one])} for {_tokens(one)}" for one in contexts)
            largest = "one num_ctx" if contexts[0] is None else f"num_ctx {contexts[-1]}"
            yield (
                f"{server}: calls ask {model} for different contexts ({'; '.join(parts)}). Ollama never has one model "
                "in memory with two contexts: it loads the model again whenever the next call asks for another one. "
                f"Give them all {largest}, or a server each; simulate says what the loads cost."
            )
    for key, said in (("num_ctx", _asks_context), ("keep_alive", _asks_keep)):
        ignored = dict.fromkeys(
            call.server for call in model_calls(loaded, said) if not loaded.servers[call.server].loads_as_asked
        )
        if ignored:
            does = "its context stays context_tokens" if key == "num_ctx" else "its model is never unloaded"
            yield f"{', '.join(ignored)}: {key} of an agent changes nothing there; {does}. Ollama follows it."
    blocking = dict.fromkeys(
        call.server for call in model_calls(loaded, _asks_keep) if loaded.servers[call.server].loads_as_asked
    )
    for server in blocking:
        models = {model for name, model in asked if name == server}
        runners = sum(len(nodes) for (name, _), nodes in asked.items() if name == server)
        if len(models) > 1 or runners > 1:
            yield (
                f"{server}: a call with keep_alive to a model that is to be unloaded for another one keeps it, and the "
                "calls that wait go on waiting. Set OLLAMA_KEEP_ALIVE instead."
            )


def _tokens(context: int | None) -> str:
    return "the server's own" if context is None else f"{context} tokens"


def _asks_context(agent: AgentSpec) -> bool:
    return agent.num_ctx is not None


def _asks_keep(agent: AgentSpec) -> bool:
    return agent.keep_alive is not None
