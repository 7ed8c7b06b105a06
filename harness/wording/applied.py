"""The sentences about settings that were applied."""

from __future__ import annotations

from harness.analysis.slots_asked import SlotsFound
from harness.units import count, safe_url

__all__ = ["interrupts", "slots_said"]


def interrupts(kind: str, service: str) -> str:
    """Say what a restart interrupts."""
    what = f"{service}.service" if kind == "systemd" else "Ollama" if kind == "launchd" else f"the service {service}"
    return (
        f"Restarting {what} ends the calls that it is answering and unloads its models. The next call loads its model "
        "again."
    )


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
