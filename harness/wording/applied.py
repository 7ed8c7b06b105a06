"""The sentences about settings that were applied."""

from __future__ import annotations

from harness.analysis.slots_asked import SlotsFound
from harness.units import count, safe_url

__all__ = ["interrupts", "slots_said", "where_from"]


def interrupts(kind: str, service: str) -> str:
    """Say what a restart interrupts."""
    what = f"{service}.service" if kind == "systemd" else "Ollama" if kind == "launchd" else f"the service {service}"
    return (
        f"Restarting {what} ends the calls that it is answering and unloads its models. The next call loads its model "
        "again."
    )


def where_from(origin: str, *, embedded: bool, machine: str, here: str) -> tuple[str, ...]:
    """Say what makes a run a weaker reason to change a server: clauses, each without its full stop.

    Args:
        origin: of the run.
        embedded: whether the embedded engine was measured, in place of the server that is changed.
        machine: that the run was made on; "": not known.
        here: the machine that this is.
    """
    said = []
    if origin != "measured":
        said.append(f"The run was {origin}, not measured: run the workload on this server before you rely on it")
    elif embedded:
        said.append("The run measured the embedded engine, not this server: slotwise run FILE --engine ollama does")
    if machine and machine != here:
        said.append(f'The run was made on another machine ("{machine}"; this is "{here}"): measure here first')
    return tuple(said)


def slots_said(slots: SlotsFound) -> str:
    """Say how many slots a server has, and where they are fewer than were asked for, why."""
    found = f"{'at least ' if slots.at_least else ''}{slots.found}"
    said = f"{safe_url(slots.url)} with {slots.model}: {count(slots.asked, 'slot')} asked for, {found} found."
    if slots.why == "family":
        return f"{said} Ollama gives models of the family {slots.family} one slot, whatever is set."
    if slots.why == "embeds":
        return f"{said} Ollama gives a model that only embeds one slot, whatever is set."
    if slots.why == "not restarted":
        return (
            f"{said} Likely reasons: the server has not been restarted since the file was written; another file sets "
            "OLLAMA_NUM_PARALLEL later; another Ollama answers at this address (OLLAMA_HOST); or Ollama gives this "
            "model one slot (its log says so: model architecture does not currently support parallel requests)."
        )
    if slots.why == "not known":
        return (
            f"{said} The reason is not known. Older versions of Ollama lowered slots where memory was short; the log "
            "of the server has the number that it took (n_slots)."
        )
    return said
