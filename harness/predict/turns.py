"""Which calls go on with the prompt of one before, so that a server may find it again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from harness.core.events import Call
from harness.core.server_request import Begins
from harness.core.talks import Talk, begins_as
from harness.drivers.modelled import Beginning, Thread
from harness.predict.counting import Counting, Message
from harness.workload.inputs import Inputs
from harness.workload.load import Loaded
from harness.workload.prefixes import shared_key
from harness.workload.prompts import Slot, Template

__all__ = ["beginning_of", "thread_of"]


def thread_of(loaded: Loaded) -> Thread | None:
    """Return whose prompt a call's goes on with, where the workload lets servers keep it; None where it never does.

    Tell it the calls of one trial, in the order in which they are sent. A conversation of a session is known by how it
    begins: by the last pass of its first turn, where a node runs several times in a turn, and by its system message.
    Both are taken for other ones in every call if they quote answers, and for the same if they do not. Of a node that
    grows they are those of its first call.
    """
    sessions = [p.session is not None and p.session.reuse_prefix for p in loaded.pipelines]
    growing = [any(n.grows is not None and n.grows.reuse_prefix for n in p.graph.nodes) for p in loaded.pipelines]
    reuses = [session or grows for session, grows in zip(sessions, growing, strict=True)]
    if not any(reuses):
        return None
    quoting = {key for key, prompt in loaded.prompts.items() if _quotes(prompt.template, loaded)}
    system_quotes = {key for key, prompt in loaded.prompts.items() if _quotes(prompt.system or (), loaded)}
    began: dict[Talk, tuple[int, int]] = {}  # job and iteration

    def thread(call: Call) -> Hashable | None:
        if not reuses[call.pipeline]:
            return None
        pipeline, which = loaded.pipelines[call.pipeline], (call.job, call.iteration)
        who = begins_as(pipeline, call)
        if who is None or pipeline.graph.nodes[call.node].grows is not None:
            return who
        if who not in began or began[who][0] == call.job:
            began[who] = which
        key = (pipeline.name, pipeline.graph.nodes[call.node].name)
        if key in system_quotes:
            return (*who, *which)
        return (*who, *began[who]) if key in quoting else who

    return thread


def _quotes(template: Template, loaded: Loaded) -> bool:
    names = {part.name for part in template if isinstance(part, Slot)}
    return bool(names - loaded.inputs.keys() - {"item"})


def beginning_of(loaded: Loaded, countings: Sequence[Counting], repeat: int) -> Beginning:
    """Return what a call's prompt begins with that others may begin with too, and whether that is the agent's wish.

    That is the system message where agents share it, and what a model's template puts before each prompt.

    Args:
        countings: of the servers of a plan, by queue.
        repeat: whose inputs a system message may quote.
    """
    inputs = loaded.inputs_for(repeat)
    table: dict[tuple[int, int, int], tuple[Begins, bool]] = {}
    for number, pipeline in enumerate(loaded.pipelines):
        for index, node in enumerate(pipeline.graph.nodes):
            agent = loaded.agents.get((pipeline.name, node.name))
            if agent is None:
                continue
            system = loaded.prompts[pipeline.name, node.name].system
            for queue, counting in enumerate(countings):
                begins: Begins = ()
                if agent.shares_prefix and system is not None:
                    message = Message(_length(system, counting, inputs), 0.0)
                    begins = ((shared_key(system), counting.total(counting.shared(message))),)
                if opening := round(counting.opening(system=system is not None)):
                    begins = (*begins, (("opening", system is not None, node.model), opening))
                table[queue, number, index] = begins, agent.shares_prefix
    nothing: tuple[Begins, bool] = ((), False)  # of an embedding
    return lambda call: table.get((call.queue, call.pipeline, call.node), nothing)


def _length(template: Template, counting: Counting, inputs: Inputs) -> float:
    """Return the length of a text that quotes nothing but inputs."""
    length = 0.0
    for part in template:
        if isinstance(part, Slot):
            length += counting.documents([counting.text(text) for text in inputs.items(part.name, "", 0)])
        else:
            length += counting.text(part)
    return length
