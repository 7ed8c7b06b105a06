"""Which calls go on with the prompt of one before, so that a server may find it again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence, Set
from typing import NamedTuple

from harness.core.events import Call
from harness.core.graph import Node
from harness.core.prompt_numbers import own_number, shared_number
from harness.core.server_request import Begins
from harness.core.talks import Talk, begins_as
from harness.drivers.modelled import Beginning, PromptStart, Thread
from harness.predict.counting import Counting, Message, made_up_length
from harness.workload.inputs import Inputs
from harness.workload.load import Loaded
from harness.workload.prefixes import shared_key
from harness.workload.prompts import Slot, Template, render
from harness.workload.schema import SyntheticInput

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


class _Alike(NamedTuple):
    """What is known of the prompts of a node before any call: what they have in common with others."""

    shared: Begins = ()  # up to their own number, of a system message that agents share
    opening: Begins = ()  # up to the first number: of the model's chat template
    number: str = ""  # the first one, where it is that of the system message
    digits: tuple[int, ...] = ()  # tokens of so many digits with which two numbers begin alike
    shares: bool = False


def beginning_of(loaded: Loaded, plan: str, countings: Sequence[Counting], repeat: int) -> Beginning:
    """Return what a call's prompt begins with that others may begin with too, and whether that is the agent's wish.

    That is the system message where agents share it, what a model's template puts before each prompt, and the digits
    with which the numbers after these begin.

    Args:
        plan: name of the candidate.
        countings: of the servers of a plan, by queue.
        repeat: whose inputs a system message may quote.
    """
    seed, table = loaded.workload.seed, dict[tuple[int, int, int], _Alike]()
    for number, pipeline in enumerate(loaded.pipelines):
        for index, node in enumerate(pipeline.graph.nodes):
            if (pipeline.name, node.name) in loaded.agents:
                for queue, counting in enumerate(countings):
                    table[queue, number, index] = _alike(loaded, plan, counting, repeat, (pipeline.name, node))
    # What a slot has from before the trial is known where all prompts begin alike.
    openings = [{alike.opening for (at, *_), alike in table.items() if at == queue} for queue in range(len(countings))]
    usual = [sum(tokens for _, tokens in found.pop()) if len(found) == 1 else 0 for found in openings]

    def beginning(call: Call) -> PromptStart:
        alike = table.get((call.queue, call.pipeline, call.node))
        if alike is None:  # an embedding
            return PromptStart()
        if not alike.digits:
            return PromptStart(alike.shared + alike.opening, alike.shares, usual[call.queue])
        own = own_number(plan, loaded.pipelines[call.pipeline], call, seed, repeat)
        begins = _numbered(alike.shared, own, alike.digits)
        begins += _numbered(alike.opening, alike.number or own, alike.digits)
        return PromptStart(begins, alike.shares, usual[call.queue])

    return beginning


def _alike(loaded: Loaded, plan: str, counting: Counting, repeat: int, at: tuple[str, Node]) -> _Alike:
    name, node = at
    agent, system = loaded.agents[name, node.name], loaded.prompts[name, node.name].system
    opening: Begins = ()
    if tokens := round(counting.opening(system=system is not None)):
        opening = ((("opening", system is not None, node.model), tokens),)
    if not agent.shares_prefix or system is None:
        return _Alike((), opening, "", counting.digits(), agent.shares_prefix)
    inputs = loaded.inputs_for(repeat)
    made_up = {key for key, spec in loaded.workload.inputs.items() if isinstance(spec, SyntheticInput)}
    message = Message(_length(system, counting, inputs, made_up), 0.0)
    shared = ((shared_key(system), counting.total(counting.shared(message))),)
    named = {part.name: inputs.items(part.name, "", 0) for part in system if isinstance(part, Slot)}
    number = shared_number(plan, render(system, None, named, {}), loaded.workload.seed, repeat)
    return _Alike(shared, opening, number, counting.digits(), True)


def _numbered(begins: Begins, number: str, digits: tuple[int, ...]) -> Begins:
    """Return a beginning with what it is with the first digits of a number behind it, the longest first."""
    return tuple(
        ((what, number[:places]), tokens + digits[places - 1]) if places else (what, tokens)
        for what, tokens in begins
        for places in range(len(digits), -1, -1)
    )


def _length(template: Template, counting: Counting, inputs: Inputs, made_up: Set[str]) -> float:
    """Return the length of a text that quotes nothing but inputs; those that are made up, by name."""
    length = 0.0
    for part in template:
        if isinstance(part, Slot):
            texts = inputs.items(part.name, "", 0)
            ours = part.name in made_up
            length += counting.documents([made_up_length(counting, t) if ours else counting.text(t) for t in texts])
        else:
            length += counting.text(part)
    return length
