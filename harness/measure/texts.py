"""Prompts of several kinds, whose tokens a server counts in a calibration."""

from __future__ import annotations

from harness.core.draws import integer
from harness.drivers.chat import Request
from harness.errors import ServerFailure
from harness.measure.sender import Endpoint, options_for
from harness.profiles.text import Counted
from harness.workload.schema import AgentSpec

__all__ = ["PROMPTS", "count_tokens"]

# (system message, prompt). English, of the kinds that agents are given: requests, notes, answers, lists, figures.
PROMPTS: tuple[tuple[str | None, str], ...] = (
    (
        None,
        "In one sentence: what is the best way to store bread, and how long does it stay fresh?",
    ),
    (
        None,
        "The ferry to the island leaves at nine in the morning and comes back in the evening. In winter it "
        "does not run when the wind is strong, so people who live there keep food for a week. The school has "
        "eleven pupils and two teachers, who came from the mainland and stayed. Most families have a boat of "
        "their own.",
    ),
    (
        None,
        "Translate the opening hours into a table.\n\n- Library: Monday to Friday, 10:00 to 18:30\n- Town "
        "hall: Tuesday and Thursday, 8:15 to 12:00\n- Swimming pool: daily, 7:00 to 21:45 (closed from 3 to 17 "
        "August)",
    ),
    (
        None,
        "Classification of communication protocols distinguishes connection-oriented from connectionless "
        "transmission. Implementations usually acknowledge received packets, retransmit missing ones and "
        "negotiate parameters such as window sizes. Performance measurements therefore require representative "
        "configurations.",
    ),
    (
        None,
        "old tree by the long wall near our house. rain came over the hill at night and the field was wet. we "
        "sat under a dry roof with tea and soup and a small warm song. day by day the river went down.",
    ),
    (
        None,
        "Merge these findings into one paragraph.\n\n1. Visitors liked the new entrance but found the signs "
        "too small.\n2. Half of the tickets were sold online, most of them on the day itself.\n3. The café was "
        "full between noon and two, and people left without eating.\n4. Guided tours in the afternoon were "
        "rarely booked.",
    ),
    (
        "Be brief.",
        "Summarise this note in one short sentence.\n\nThe pump in the cellar runs every ten minutes since Sunday.",
    ),
    (
        "You are a careful editor. Answer with one plain paragraph and leave nothing out.",
        "The committee met on Wednesday evening to discuss the renovation of the bridge. Three companies had "
        "sent their offers. The cheapest would need two summers, the most expensive only one. The members "
        "could not agree and asked an engineer for advice. They will decide in the following month, when the "
        "results of the inspection are there.",
    ),
    (
        "You review plans. Answer with the one remark that matters most.",
        "Here is a plan:\n\nFirst we ask all households what they need. Then we rent a room for six months and "
        "look for volunteers. After that we open twice a week, and count visitors.\n\nName its weakest point "
        "in one sentence.",
    ),
    (
        "You label messages.",
        "Label this message with one word: bug, question, praise or other.\n\nMessage: Since the update the "
        "app closes itself whenever I open the settings on my phone!\nLabel:",
    ),
    (
        "You help people with their gardens. Be friendly, be exact, and say when you do not know something.",
        "My tomatoes have yellow leaves at the bottom, although I water them every second day. The soil is "
        "heavy and the plants stand close together, about 30 cm apart. What should I change, and will they "
        "recover before September?",
    ),
    (
        "You write short reports for the management of a hospital.",
        "Admissions rose by 4.5% to 1,284 in the first quarter, mostly in cardiology and emergency medicine. "
        "Average length of stay fell from 6.1 to 5.8 days. Patient satisfaction was unchanged (82 of 100 "
        "points). Describe the development and recommend additional measures.",
    ),
)


async def count_tokens(endpoint: Endpoint) -> list[Counted]:
    """Let a server count the tokens of each prompt, each beginning with a number as in a run, one after the other.

    Raises:
        ServerFailure: a call failed, or it does not tell its token counts.
    """
    options = options_for(endpoint.server, AgentSpec(prompt="-", output_tokens=1), seed=0)
    counted = []
    for number, (system, user) in enumerate(PROMPTS):
        unique = f"[{integer(1_000_000, number, 'text'):06d}] "
        request = (
            Request(None, unique + user, options, stream=False)
            if system is None
            else Request(unique + system, user, options, stream=False)
        )
        reply, _ = await endpoint.chat.ask(request)
        if reply.outcome != "ok" or not reply.prompt_tokens:
            raise ServerFailure(
                f"server {endpoint.server.name!r}: {reply.error or 'it does not tell its token counts'}"
            )
        counted.append(Counted(user if system is None else f"{system} {user}", system is not None, reply.prompt_tokens))
    return counted
