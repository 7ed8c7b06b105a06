"""How a server counts the tokens of a prompt, as far as that is known without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from harness.profiles.schema import TextTokens
from harness.workload.prompts import NUMBERING_TOKENS, Wording
from harness.workload.rules import MAX_ITEM_CHARS
from harness.workload.schema import ServerSpec

__all__ = [
    "AnswerLength",
    "Characters",
    "Counting",
    "FittedText",
    "Message",
    "answer_chars",
    "counting_of",
    "made_up_length",
]

PREFIX = "[000000] "  # what makes every prompt of a run unique
PREFIX_CHARS = len(PREFIX)


class AnswerLength(NamedTuple):
    """An answer, or an item of a list that one was."""

    tokens: float
    as_json: bool = False


class Message(NamedTuple):
    """What is sent, in the unit of its server's counting, without what makes it unique."""

    system: float | None
    user: float


class Counting(Protocol):
    """How a server counts the tokens of a prompt: texts add up in some unit, and a prompt comes to tokens."""

    exact: bool  # it is known that the server counts so

    def text(self, text: str) -> float:
        """Return the length of a text."""

    def answer(self, said: AnswerLength) -> float:
        """Return the length of an answer that is read again."""

    def document(self, tokens: int, text: Callable[[], str]) -> float:
        """Return the length of a made-up document: `text` makes it up."""

    def joined(self, lengths: Sequence[float]) -> float:
        """Return the length of several answers as they are filled in, numbered."""

    def documents(self, lengths: Sequence[float]) -> float:
        """Return the length of all items of an input as they are filled in."""

    def listed(self, said: AnswerLength, items: float) -> AnswerLength:
        """Return an item of an answer that is a list of that many items on average."""

    def once(self, message: Message) -> float:
        """Return the tokens that a conversation has once, and not in every turn."""

    def unique(self, message: Message) -> float:
        """Return the tokens of the number that a question begins with where the system message is shared."""

    def shared(self, message: Message) -> float:
        """Return the tokens up to the end of a system message that is shared: what prompts with it have in common."""

    def opening(self, *, system: bool) -> float:
        """Return the tokens that all prompts begin with, those with a system message or those without."""

    def digits(self) -> tuple[int, ...]:
        """Return the tokens of 1, 2, ... digits with which two numbers begin alike; (): not known, or none count."""

    def asked(self, message: Message) -> float:
        """Return the tokens of what is asked in this turn."""

    def turn(self, asked: float, answered: AnswerLength) -> float:
        """Return the tokens that a turn adds to all prompts after it."""

    def total(self, tokens: float) -> int:
        """Return whole tokens, at least one."""


class Characters:
    """Four characters of a message a token, rounded up: how simulated servers count, and a guess for all others.

    Answers of simulated servers have four characters a token too (`harness.servers.simulated_text`).

    Args:
        simulated: it is known that the server counts so, and the number that begins each prompt counts too.
        numbered: whether there is one.
    """

    def __init__(self, *, simulated: bool, numbered: bool = True) -> None:
        self._prefix = PREFIX_CHARS if simulated and numbered else 0
        self.exact = simulated

    def text(self, text: str) -> float:
        """In characters."""
        return len(text)

    def answer(self, said: AnswerLength) -> float:
        """Return the characters of an answer: those of a simulated one, or four a token."""
        if not self.exact:
            return 4 * said.tokens
        return answer_chars(round(said.tokens), as_json=said.as_json)

    def document(self, tokens: int, text: Callable[[], str]) -> float:
        """In characters: of words, so the text has to be made up."""
        return len(text())

    def joined(self, lengths: Sequence[float]) -> float:
        """With `1. ` before each and line ends between."""
        if len(lengths) == 1:
            return lengths[0]
        return sum(lengths) + sum(len(f"{i}. ") for i in range(1, len(lengths) + 1)) + max(0, len(lengths) - 1)

    def documents(self, lengths: Sequence[float]) -> float:
        """With an empty line between."""
        return sum(lengths) + 2 * max(0, len(lengths) - 1)

    def listed(self, said: AnswerLength, items: float) -> AnswerLength:
        """Return its share; a simulated answer is no list, so all of it is the only item."""
        if not self.exact:
            return AnswerLength(said.tokens / max(1.0, items))
        return said if self.answer(said) <= MAX_ITEM_CHARS else AnswerLength(MAX_ITEM_CHARS / 4)

    def once(self, message: Message) -> float:
        """The system message; without one, what the number at the beginning makes of the first message."""
        if message.system is not None:
            return _quarter(self._prefix + message.system)
        return _quarter(self._prefix + message.user) - _quarter(message.user)

    def unique(self, message: Message) -> float:
        """What the number makes of the message."""
        return _quarter(self._prefix + message.user) - _quarter(message.user)

    def shared(self, message: Message) -> float:
        """The system message."""
        return _quarter(self._prefix + (message.system or 0.0))

    def opening(self, *, system: bool) -> float:
        """Nothing: they compare conversations and not tokens."""
        return 0.0

    def digits(self) -> tuple[int, ...]:
        """Nothing, as of `opening`."""
        return ()

    def asked(self, message: Message) -> float:
        """The user's message."""
        return _quarter(message.user)

    def turn(self, asked: float, answered: AnswerLength) -> float:
        """Both messages."""
        return asked + _quarter(self.answer(answered))

    def total(self, tokens: float) -> int:
        """They are whole already."""
        return max(1, round(tokens))


class FittedText:
    """As calibration found that a model counts: words, digits and punctuation, and its chat template."""

    exact = False

    def __init__(self, text: TextTokens) -> None:
        self._text = text

    def text(self, text: str) -> float:
        """In tokens."""
        return self._text.count(text)

    def answer(self, said: AnswerLength) -> float:
        """As many as were written."""
        return said.tokens

    def document(self, tokens: int, text: Callable[[], str]) -> float:
        """Made-up text is short words and stops."""
        return self._text.made_up(tokens)

    def joined(self, lengths: Sequence[float]) -> float:
        """With their numbers."""
        return sum(lengths) + (NUMBERING_TOKENS * len(lengths) if len(lengths) > 1 else 0)

    def documents(self, lengths: Sequence[float]) -> float:
        """Line ends between are left out."""
        return sum(lengths)

    def listed(self, said: AnswerLength, items: float) -> AnswerLength:
        """Its share of the answer."""
        return AnswerLength(said.tokens / max(1.0, items))

    def once(self, message: Message) -> float:
        """The chat template around a prompt, and the system message."""
        if message.system is None:
            return self._text.template_tokens
        return self._text.system_template_tokens + message.system

    def unique(self, message: Message) -> float:
        """Its digits and brackets."""
        return self._text.count(PREFIX)

    def shared(self, message: Message) -> float:
        """What was counted, and the text; else all but what the template puts after the question.

        That is half of what it puts around a question and its answer.
        """
        if self._text.shared_tokens is not None and message.system is not None:
            return self._text.shared_tokens + message.system
        return self.once(message) - self._text.of_turn // 2

    def opening(self, *, system: bool) -> float:
        """What was counted of the template and the bracket before the number; nothing where it was not."""
        return (self._text.system_opening_tokens if system else self._text.opening_tokens) or 0.0

    def digits(self) -> tuple[int, ...]:
        """What was counted."""
        return self._text.digit_tokens or ()

    def asked(self, message: Message) -> float:
        """The user's message."""
        return message.user

    def turn(self, asked: float, answered: AnswerLength) -> float:
        """Both messages, and the chat template around them."""
        return asked + answered.tokens + self._text.of_turn

    def total(self, tokens: float) -> int:
        """To the nearest token."""
        return max(1, round(tokens))


def counting_of(spec: ServerSpec, text: TextTokens | None) -> Counting:
    """Return how a server counts: a simulated one four characters a token, another as calibration found, if it did."""
    if spec.simulated:
        return Characters(simulated=True)
    return Characters(simulated=False) if text is None else FittedText(text)


def made_up_length(counting: Counting, text: str) -> float:
    """Return the length of a text that Slotwise made up."""
    return counting.document(Wording.of(text).pieces, lambda: text)


def answer_chars(tokens: int, *, as_json: bool) -> int:
    """Return how many characters a simulated server's answer has: four a token; in JSON its brackets are two tokens."""
    if not as_json or not tokens:
        return 4 * tokens
    return 2 if tokens == 1 else len('{"text":"') + 4 * (tokens - 2) + len('"}')


def _quarter(chars: float) -> int:
    return -(-round(chars) // 4)
