"""Text of four characters a token, as simulated servers count: the same for the same seed and prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from harness.core.draws import integer
from harness.servers.front.engine import GenerateRequest, Thought

__all__ = ["said", "words"]

# Four characters a token, as simulated servers count: a blank and three letters; two before a full stop, four at first.
THREE = tuple(
    """
    the one old new dry wet red sun sea bay tea cup map key box bed car bus van pen ink log oak elm ash fox dog cat hen
    owl bee ant cow pig sky air ice fog mud oil jam egg pea nut bar toy hat cap bag was had saw ran sat met got put led
    fed dug won and but yet for off out top day all any few six ten two now too far how who why not did may can
    """.split()  # noqa: SIM905 - a list of quoted words would be hard to read
)
TWO = tuple("it we he us me so go on in by at up to of as no ox".split())  # noqa: SIM905 - as above
FOUR = tuple("This That Each Many Some Then Here When Once Most Such Both Next".split())  # noqa: SIM905 - as above
SHORTEST, LONGEST = 6, 14  # words in a sentence


def said(request: GenerateRequest, tokens: int, thinking: int) -> Iterator[str | Thought]:
    """Yield what a request is answered with, `tokens` pieces: first the thinking, then the answer as if without it."""
    for word in words(request._replace(format=None), thinking, "thinking"):
        yield Thought(word)
    yield from words(request, tokens - thinking)


def words(request: GenerateRequest, tokens: int, what: str = "text") -> Iterator[str]:
    """Yield the answer to a request, `tokens` words long; what joins them to text is in them.

    With a `format` it is one JSON object, for whose brackets the first and the last word make room.
    """
    asked = request.prompt if request.messages is None else str([m["content"] for m in request.messages])
    draw = Random(integer(1 << 31, request.options["seed"], asked, what)).random
    left = 0
    for number in range(tokens):
        last = number == tokens - 1
        if request.format is not None and (last or not number):
            yield "{}" if tokens == 1 else '"}' if last else '{"text":"'
            continue
        if not left:
            left = SHORTEST + int(draw() * (LONGEST + 1 - SHORTEST))
        left -= 1
        ends = last or not left
        if not number:
            yield f"{_one(FOUR, draw)[:3]}." if ends else _one(FOUR, draw)
        elif ends:
            left = 0
            yield f" {_one(TWO, draw)}."
        else:
            yield f" {_one(THREE, draw)}"


def _one(words_: tuple[str, ...], draw: Callable[[], float]) -> str:
    return words_[int(draw() * len(words_))]
