"""System messages that agents share, so that a server may find them again in its prompt cache."""

from __future__ import annotations

from collections.abc import Mapping

from harness.workload.checks import Resolved
from harness.workload.inputs import varies
from harness.workload.mistakes import Mistakes
from harness.workload.prompts import Slot, Template
from harness.workload.schema import Workload
from harness.workload.source import Loc

__all__ = ["SharedKey", "check_shared", "shared_key"]

SharedKey = tuple[str, ...]


def shared_key(system: Template) -> SharedKey:
    """Return what tells one system message from another before it is filled in: its text and the inputs in it."""
    return tuple(f"{{{part.name}}}" if isinstance(part, Slot) else part for part in system)


def check_shared(workload: Workload, agents: Mapping[Loc, Resolved], mistakes: Mistakes) -> None:
    """Check that what agents share is there, and the same in every call of a repeat.

    Args:
        agents: by where their node stands in the file; those of one name are checked once.
    """
    sharing = {id(agent.spec): (at, agent) for at, agent in agents.items() if agent.spec.shares_prefix}
    for at, agent in sharing.values():
        if agent.prompt.system is None:
            message = "shares its system message and has none; give it `system`, or remove `shares_prefix`"
            mistakes.add((*at, "agent"), f'agent "{agent.name}" {message}', key=True)
        for slot in agent.prompt.system or ():
            if isinstance(slot, Slot) and not _is_fixed(workload, slot.name):
                mistakes.add_at(
                    agent.where[True, slot.offset],
                    f'agent "{agent.name}" shares its system message, which has to be the same in every call, and '
                    f"{{{slot.name}}} is not; name it in `prompt`",
                )


def _is_fixed(workload: Workload, name: str) -> bool:
    """Tell whether a name stands for the same text in every call: an input that is not drawn for each job."""
    return name in workload.inputs and not varies(workload.inputs[name])
