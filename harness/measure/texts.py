"""Prompts of several kinds, whose tokens a server counts in a calibration, and what all prompts begin with."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.draws import integer
from harness.core.prompt_numbers import DIGITS
from harness.core.records import ChatRequest, Reply
from harness.errors import ServerFailure
from harness.measure.progress import Progress
from harness.measure.sender import Endpoint, options_for
from harness.measure.told import forget, served_there
from harness.profiles.schema import TextTokens
from harness.profiles.text import Counted, fit_text
from harness.units import count
from harness.workload.inputs import document
from harness.workload.prompts import Wording
from harness.workload.schema import AgentSpec

__all__ = ["PROMPTS", "TALKS", "count_digits", "count_opening", "count_shared", "count_tokens", "text_tokens"]

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

# System messages that prompts share, a short one and a long one: made up, as the texts of `synthetic` inputs are.
SHARED = (document("short", 40), document("long", 180))
ONE_TOKEN = AgentSpec(prompt="-", output_tokens=1)

_Talk = tuple[str | None, tuple[tuple[str, str], ...], str]  # system message, turns before, prompt

# Short messages: what a chat template adds for each of them is half of it.
TALKS: tuple[_Talk, ...] = (
    (
        None,
        (
            ("Is the library open on Sunday?", "No, it opens again on Monday at ten."),
            ("Can I bring my dog?", "Only into the garden behind the house."),
            ("Thank you.", "You are welcome!"),
            ("How much is a card?", "A card for one year costs 12 euros."),
        ),
        "Where can I park my bicycle when I come with two children?",
    ),
    (
        "You help guests of a small hotel. Be brief.",
        (
            ("When is breakfast?", "From seven to ten in the room by the garden."),
            ("Is there a train to the sea?", "Yes, every hour from the old station."),
            ("And back?", "The last one leaves at 21:40."),
            ("Do I need a ticket before?", "No, you can buy one in the train."),
            ("Good.", "Have a nice day!"),
        ),
        "Which beach would you recommend to somebody who likes long walks?",
    ),
    (
        None,
        (
            ("Name a tree.", "The oak."),
            ("One more.", "The lime."),
            ("And another.", "The birch."),
            ("Which is the tallest?", "Of these three, the oak."),
            ("Which grows fast?", "The birch, in its first ten years."),
            ("Thanks.", "With pleasure."),
        ),
        "Which of them would you plant beside a narrow street, and why?",
    ),
)


async def text_tokens(endpoint: Endpoint, progress: Progress) -> TextTokens:
    """Return how many tokens of a server's model a prompt has, by its text.

    Raises:
        ServerFailure: a call failed, or it does not tell its token counts.
    """
    texts = f"{count(len(PROMPTS), 'prompt')} and {count(len(TALKS), 'conversation')}"
    progress.say(f"{endpoint.server.name}: counting the tokens of {texts}")
    fitted = fit_text(await count_tokens(endpoint))
    opening, system_opening = [await count_opening(endpoint, system=system) for system in (False, True)]
    made_up, shared = await count_shared(endpoint) or (None, None)
    update = {
        "opening_tokens": opening,
        "system_opening_tokens": system_opening,
        "digit_tokens": None if opening is None else await count_digits(endpoint, opening),
        "shared_tokens": shared,
        "made_up_tokens_per_piece": made_up,
    }
    return fitted.model_copy(update=update)


async def count_tokens(endpoint: Endpoint) -> list[Counted]:
    """Let a server count the tokens of each prompt and talk, each beginning with a number as in a run, one by one.

    Raises:
        ServerFailure: a call failed, or it does not tell its token counts.
    """
    options = options_for(endpoint.server, ONE_TOKEN, seed=0)
    counted = []
    alone: list[_Talk] = [(system, (), user) for system, user in PROMPTS]
    for number, (system, turns, user) in enumerate((*alone, *TALKS)):
        unique = f"[{integer(1_000_000, number, 'text'):06d}] "
        text = " ".join((*(said for turn in turns for said in turn), user if system is None else f"{system} {user}"))
        with_system = system is not None
        if system is not None:
            system = unique + system
        elif turns:
            turns = ((unique + turns[0][0], turns[0][1]), *turns[1:])
        else:
            user = unique + user
        request = ChatRequest(system, user, options, stream=False, history=turns)
        reply = await _ask(endpoint, request)
        counted.append(Counted(text, with_system, reply.prompt_tokens or 0, len(turns)))
    return counted


async def count_opening(endpoint: Endpoint, *, system: bool) -> int | None:
    """Return how many tokens every prompt begins with: of the chat template, and the bracket before the number.

    The prompts are sent one by one and have nothing in common but that, because their numbers differ from the first
    digit on. Each but the first finds it again in the slot of the one before. It finds more only where a number of an
    earlier call begins with the same digit, so the least that was found is what all have in common.

    Args:
        endpoint: nobody else uses it meanwhile.
        system: whether the prompts have a system message.

    Returns:
        None where the server does not tell what it finds again.

    Raises:
        ServerFailure: a call failed, or it does not tell its token counts.
    """
    numbers = [f"[{digit}00000] " for digit in range(1, 10)]
    asked = [(f"{one}Be brief.", "Say yes.") if system else (None, f"{one}Say yes.") for one in numbers]
    found = await _found_again(endpoint, asked)
    return None if found is None else min(found[1:])


async def count_digits(endpoint: Endpoint, opening: int) -> tuple[int, ...] | None:
    """Return how many tokens more two prompts have in common whose numbers begin with one digit, with two, ...

    Of each number of digits a pair is sent, which begins like no other pair; the second one finds them again.

    Args:
        endpoint: nobody else uses it meanwhile.
        opening: what all prompts without a system message begin with.

    Returns:
        None where the server does not tell what it finds again.

    Raises:
        ServerFailure: a call failed, or it does not tell its token counts.
    """
    asked = [
        (None, f"[{str(places) * places}{other * (DIGITS - places)}] Say yes.")
        for places in range(1, DIGITS)
        for other in "09"
    ]
    found = await _found_again(endpoint, asked)
    if found is None:
        return None
    more = [max(0, tokens - opening) for tokens in found[1::2]]
    return tuple(max(more[: places + 1]) for places in range(len(more)))  # a digit more is never a token less


async def count_shared(endpoint: Endpoint) -> tuple[float, float] | None:
    """Return what prompts with one made-up system message have in common, up to their own numbers.

    The messages of `SHARED` have numbers of their own, whose first digits differ.

    Returns:
        Tokens of each word and stop of it, and all beside; None where the server does not tell what it finds again.

    Raises:
        ServerFailure: a call failed, or it does not tell its token counts.
    """
    common, pieces = [], [Wording.of(text).pieces for text in SHARED]
    for number, text in enumerate(SHARED):
        asked = [(f"[{number}00000] {text}", f"[{digit}00000] Say yes.") for digit in range(1, 5)]
        if (found := await _found_again(endpoint, asked)) is None:
            return None
        common.append(min(found[1:]))
    rate = max(0.0, (common[1] - common[0]) / (pieces[1] - pieces[0]))
    return round(rate, 4), round(max(0.0, common[0] - rate * pieces[0]), 2)


async def _found_again(endpoint: Endpoint, asked: Sequence[tuple[str | None, str]]) -> list[int] | None:
    """Send prompts one by one; return how many tokens of each the server found again, None where it does not tell."""
    options = options_for(endpoint.server, ONE_TOKEN, seed=0, reuse_prefix=True)
    forget([endpoint])
    found: list[int | None] = []
    for system, user in asked:
        found.append((await _ask(endpoint, ChatRequest(system, user, options, stream=False))).cached_tokens)
    if endpoint.log is not None:
        found = [one.cached_tokens for one in await served_there(endpoint.log, len(found))]
    known = [tokens or 0 for number, tokens in enumerate(found) if tokens is not None or not number]
    return known if len(known) == len(asked) else None


async def _ask(endpoint: Endpoint, request: ChatRequest) -> Reply:
    reply, _ = await endpoint.chat.ask(request)
    if reply.outcome != "ok" or not reply.prompt_tokens:
        raise ServerFailure(f"server {endpoint.server.name!r}: {reply.error or 'it does not tell its token counts'}")
    return reply
