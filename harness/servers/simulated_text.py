"""Plausible text, a word a token: the same for the same seed and prompt."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from harness.core.draws import integer
from harness.servers.front.engine import GenerateRequest

__all__ = ["words"]

WORDS = tuple(
    """
    the a one each this that all some many few small old new early late open plain bright quiet long short steady
    water river harbour bridge garden market letter window morning evening winter summer road field stone paper engine
    lamp table kitchen teacher sailor baker painter child neighbour village city island forest mountain bird horse fish
    boat train bell clock map story song word question answer reason plan result number measure colour sound light
    shadow is was has had makes made keeps kept finds found shows showed brings brought carries carried holds held
    turns turned gives gave takes took leaves left opens opened follows followed reaches reached meets met and or but
    so then while because where when after before under over near beside between through across toward within without
    again often always never slowly quickly well only almost perhaps already together
    """.split()  # noqa: SIM905 - a list of quoted words would be hard to read
)
SHORTEST, LONGEST = 6, 14  # words in a sentence


def words(request: GenerateRequest, tokens: int) -> Iterator[str]:
    """Yield the answer to a request, `tokens` words long; what joins them to text is in them.

    With a `format` it is one JSON object, for whose brackets the first and the last word make room.
    """
    asked = request.prompt if request.messages is None else str([m["content"] for m in request.messages])
    draw = Random(integer(1 << 31, request.options["seed"], asked, "text")).random
    left = 0
    for number in range(tokens):
        last = number == tokens - 1
        if request.format is not None and (last or not number):
            yield "{}" if tokens == 1 else '"}' if last else '{"text":"'
            continue
        word = WORDS[int(draw() * len(WORDS))]
        if not left:
            left = SHORTEST + int(draw() * (LONGEST + 1 - SHORTEST))
            word = word.capitalize()
        left -= 1
        yield f"{' ' if number else ''}{word}{'' if left and not last else '.'}"
