"""What is said where others used a server that was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.facts import OtherCalls
from harness.analysis.slots_asked import MOST_COUNTED
from harness.units import count, seconds
from harness.wording.figures import listed

__all__ = [
    "at_least",
    "others_again",
    "others_at_start",
    "others_brief",
    "others_noticed",
    "others_refused",
    "others_refused_working",
    "others_text",
    "others_working",
]

WHAT_TO_DO = (
    "Stop the other users of this server and measure again, or measure on a server of its own: --engine ollama."
)


def others_brief(notice: OtherCalls) -> str:
    """Say it in a line, above the answer."""
    touched = len({(one.candidate, one.repeat) for one in notice.touched})
    text = f"Others used the server in {touched} of {count(notice.trials, 'trial')}"
    match notice.without:
        case "same":
            return f"{text}; the answer is the same without."
        case "other":
            return f'{text}. Without: "{notice.candidate}".'
        case _:
            return f"{text}; too few are left without."


def others_text(notice: OtherCalls) -> str:
    """Say which trials, how long at least, what the answer is without them, and what to do."""
    calls, others_s = sum(one.calls for one in notice.touched), sum(one.others_s for one in notice.touched)
    where = "; ".join(
        f"{name} {_repeats({one.repeat for one in notice.touched if one.candidate == name})}"
        for name in dict.fromkeys(one.candidate for one in notice.touched)
    )
    repeats = _repeats({one.repeat for one in notice.touched})
    waited = f"{count(calls, 'call')} waited {seconds(others_s)} or longer in all for a slot that no call of ours had"
    return (
        f"Others used {listed(tuple(dict.fromkeys(one.server for one in notice.touched)))} in "
        f"{len({(one.candidate, one.repeat) for one in notice.touched})} of {count(notice.trials, 'trial')}: {waited} "
        f"({where}). These trials are in all figures, and every comparison in {repeats} rests on one of them. "
        f"{_without(notice)} {WHAT_TO_DO}"
    )


def _without(notice: OtherCalls) -> str:
    match notice.without:
        case "same":
            return f'Without them the recommendation is the same, "{notice.candidate}".'
        case "other":
            return f'Without them the recommendation is "{notice.candidate}".'
        case _:
            left = ", ".join(f"{name} {repeats}" for name, repeats in notice.repeats)
            return f"Without them nothing can be recommended (repeats left: {left})."


def _repeats(repeats: set[int]) -> str:
    numbers = [str(repeat + 1) for repeat in sorted(repeats)]
    return f"{'repeat' if len(numbers) == 1 else 'repeats'} {listed(numbers)}"


def others_noticed(title: str, server: str, calls: int, others_s: float) -> str:
    """Say while a run goes on that others were noticed for the first time."""
    return (
        f"{server}: others use this server: in {title}, {count(calls, 'call')} waited {seconds(others_s)} or longer "
        "in all for a slot that no call of ours had. The report marks each such trial."
    )


def others_again(server: str, calls: int, others_s: float, attempt: int, attempts: int) -> str:
    """Say that something is measured again because others used the server meanwhile."""
    return (
        f"{server}: others use this server: {count(calls, 'call')} waited {seconds(others_s)} or longer in all for a "
        f"slot that no call of ours had. Measured again ({attempt} of at most {attempts} times)."
    )


def others_refused(waits_s: Iterable[float]) -> str:
    """Say why nothing is measured on a server that others use."""
    waits = tuple(waits_s)
    return (
        f"others use this server: {count(len(waits), 'single call')} of ours waited up to {seconds(max(waits))} or "
        "longer although nothing of ours was there, and a profile made now would hold that. Stop the other users of "
        "this server and calibrate again, or calibrate a server of its own: slotwise calibrate ollama"
    )


def others_refused_working(slots: int) -> str:
    """Say why nothing is measured on a server that works for others."""
    return (
        f"others use this server: it says that {count(slots, 'slot')} of it worked although nothing of ours was there, "
        "and a profile made now would hold that. Stop the other users of this server and calibrate again"
    )


def others_working(server: str, titles: Sequence[str], slots: int = 0) -> str:
    """Say that a server worked for others when these trials began, as it tells itself."""
    how = f" ({count(slots, 'slot')})" if slots else ""
    return (
        f"{server} says that it worked for others{how} when {count(len(titles), 'trial')} began "
        f"({'; '.join(titles)}). What was measured there then is theirs, too. {WHAT_TO_DO}"
    )


def at_least(server: str, slots: int) -> str:
    """Say that there may be more slots: calls did not begin together, counts differ, or no more calls were sent."""
    if slots >= MOST_COUNTED:
        return f"{server}: at least {count(slots, 'slot')}: more calls at once were not sent."
    return (
        f"{server}: at least {count(slots, 'slot')}: this machine was so busy that calls sent at once left one by one, "
        "so there may be more. Stop what keeps it busy, and probe again."
    )


def others_at_start(server: str, waits_s: Iterable[float]) -> str:
    """Say that calls waited that were alone, before anything is measured."""
    waits = tuple(waits_s)
    return (
        f"Others used {server} when it was checked: {count(len(waits), 'single call')} of ours waited up to "
        f"{seconds(max(waits))} or longer although nothing of ours was there. Slots found and waits are less certain. "
        f"{WHAT_TO_DO}"
    )
