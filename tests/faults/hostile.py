"""A hostile Ollama: one fault for each call, without a socket, and what the call comes to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

import httpx

__all__ = ["FAULTS", "Fault", "comes_to"]

FINAL: dict[str, Any] = {
    "done": True,
    "done_reason": "length",
    "total_duration": 3_000_000,
    "load_duration": 1000,
    "prompt_eval_count": 20,
    "prompt_eval_duration": 1_000_000,
    "eval_count": 2,
    "eval_duration": 1_000_000,
}
Serve = Callable[[bool], httpx.Response]  # whether it is streamed


class Fault(NamedTuple):
    """What the server does, and what the call comes to."""

    serve: Serve
    outcome: str
    says: str  # how the error of its record begins; "": there is none
    whole: bool = True  # whether it can be done to an answer that is not streamed too


def status(code: int, content: bytes | str = "", location: str = "") -> Serve:
    headers = {"Location": location} if location else {}
    return lambda stream: httpx.Response(code, content=content, headers=headers)


def told(error: Any) -> str:
    return json.dumps({"error": error})


def answer(text: str, **more: Any) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps({"model": "m", "message": message, "done": False, **more}).encode() + b"\n"


def lines(*middle: bytes, ends: bool = True, error: Exception | None = None, **final: Any) -> Serve:
    """Answer with these lines and, if it `ends`, a last one with these figures."""

    def serve(stream: bool) -> httpx.Response:
        async def body() -> AsyncIterator[bytes]:
            for part in middle:
                yield part
            if error is not None:
                raise error
            if ends:
                yield answer("" if stream else "so so", **{**FINAL, **final})

        return httpx.Response(200, content=body())

    return serve


def said(figures: Mapping[str, Any]) -> Serve:
    return lines(ends=True, error=None, **figures)


def raw(line: bytes) -> Serve:
    return lines(answer("so "), line + b"\n")


def refuses(stream: bool) -> httpx.Response:
    raise httpx.ConnectError("refused")


NOT_OLLAMA = "the answer is not as Ollama's are: "
LEFT_OUT = "the server says what cannot be, and it is left out: "
DAY_NS = 86_400 * 10**9
NOTHING: dict[str, Any] = dict.fromkeys((key for key in FINAL if "duration" in key or "count" in key), 0)

FAULTS: dict[str, Fault] = {
    "status 503, as a full queue has it": Fault(status(503, told("server busy")), "rejected", "503: server busy"),
    "status 429": Fault(status(429, told("slow down")), "error", "429: slow down"),
    "status 400, with escapes for a terminal": Fault(
        status(400, told("a \x1b[31m b\u202e")), "error", "400: a  [31m b"
    ),
    "status 404": Fault(status(404, told("model 'm' not found")), "error", "404: model 'm' not found"),
    "status 500, with 20 MB": Fault(status(500, b"E" * 20_000_000), "error", "500: EEEE"),
    "status 500, with an object for an error": Fault(status(500, told({"a": ["x"] * 1000})), "error", "500: {'a'"),
    "status 999": Fault(status(999), "error", "999: "),
    "a redirect in circles": Fault(
        status(307, location="http://fake:1/api/chat"), "error", "the server sends its clients elsewhere, in circles"
    ),
    "no connection": Fault(refuses, "error", "the server refused the connection"),
    "HTML": Fault(status(200, "<html><script>alert(1)</script>"), "error", "the answer is no JSON"),
    "no JSON": Fault(status(200, "{not json"), "error", "the answer is no JSON"),
    "`null`": Fault(status(200, "null"), "error", f"{NOT_OLLAMA}a line is no JSON object"),
    "a list": Fault(status(200, "[1, 2]"), "error", f"{NOT_OLLAMA}a line is no JSON object"),
    "nothing": Fault(status(200), "error", "the server sent no answer at all", whole=False),
    "a line that is no JSON": Fault(raw(b"{not json"), "error", "the answer is no JSON", whole=False),
    "a line that is cut": Fault(raw(b'{"model":"m","mess'), "error", "the answer is no JSON", whole=False),
    "an empty line": Fault(raw(b""), "error", "the answer is no JSON", whole=False),
    "a line that is `null`": Fault(raw(b"null"), "error", f"{NOT_OLLAMA}a line is no JSON object", whole=False),
    "a message that is a text": Fault(
        raw(b'{"model":"m","message":"so","done":false}'), "error", f"{NOT_OLLAMA}message: ", whole=False
    ),
    "content that is a number": Fault(
        raw(b'{"model":"m","message":{"role":"assistant","content":5}}'), "error", f"{NOT_OLLAMA}message.", whole=False
    ),
    "content that is `null`": Fault(
        raw(b'{"model":"m","message":{"role":"assistant","content":null}}'), "error", NOT_OLLAMA, whole=False
    ),
    "content that is no UTF-8": Fault(
        raw(b'{"model":"m","message":{"role":"assistant","content":"\xff"},"done":false}'), "ok", "", whole=False
    ),
    "half of a character": Fault(
        raw(b'{"model":"m","message":{"role":"assistant","content":"\\ud83d"},"done":false}'), "ok", "", whole=False
    ),
    "an answer of 10 MB": Fault(lines(answer("B" * 10_000_000)), "ok", "", whole=False),
    "no last line": Fault(lines(answer("so "), ends=False), "error", "the answer is truncated"),
    "the connection closed in the middle": Fault(
        lines(answer("so "), error=httpx.RemoteProtocolError("peer closed")),
        "error",
        "the server closed the connection",
    ),
    "the connection reset in the middle": Fault(
        lines(answer("so "), error=httpx.ReadError("reset")), "error", "the server closed the connection"
    ),
    "a duration of a day": Fault(lines(eval_duration=DAY_NS), "ok", f"{LEFT_OUT}eval_duration is "),
    "a duration of a year, of the whole": Fault(
        lines(total_duration=365 * DAY_NS), "ok", f"{LEFT_OUT}total_duration is beyond"
    ),
    "a duration of 10^400 ns": Fault(lines(eval_duration=10**400), "ok", f"{LEFT_OUT}eval_duration is beyond"),
    "a duration below 0": Fault(lines(eval_duration=-1), "ok", f"{LEFT_OUT}eval_duration is -1 ns"),
    "parts that are longer than the call": Fault(
        lines(eval_duration=400_000_000, prompt_eval_duration=400_000_000), "ok", f"{LEFT_OUT}its parts take 800 ms"
    ),
    "a count below 0": Fault(lines(eval_count=-8), "ok", f"{LEFT_OUT}eval_count is -8"),
    "a count beyond any context": Fault(lines(eval_count=10**12), "ok", f"{LEFT_OUT}eval_count is 1000000000000"),
    "a count that is a text": Fault(lines(eval_count="many"), "error", f"{NOT_OLLAMA}eval_count: "),
    "a reason that is a list": Fault(lines(done_reason=[1]), "error", f"{NOT_OLLAMA}done_reason: "),
    "a reason with escapes for a terminal": Fault(lines(done_reason="\x1b[2Jlength\u202e" * 20), "ok", ""),
    "no figures at all": Fault(said(dict.fromkeys(NOTHING)), "ok", ""),
    "figures that are all 0": Fault(said(NOTHING), "ok", ""),
    "no durations": Fault(said(dict.fromkeys(key for key in NOTHING if "duration" in key)), "ok", ""),
    "durations that are all 0": Fault(said({key: 0 for key in NOTHING if "duration" in key}), "ok", ""),
}

NO_LEVELS = "3: levels cannot be compared: "
NO_PROFILE = "3: no profile can be made: "
UNTOLD_TIMES = "the server does not tell the times of its calls"
UNTOLD_TOKENS = "the server does not tell how many tokens it generated"
OTHERWISE = {
    "content that is no UTF-8": ("3: the answer is no UTF-8", "3: the answer is no UTF-8"),
    "a duration of a day": ("0", NO_PROFILE + LEFT_OUT),
    "a duration of a year, of the whole": ("0", NO_PROFILE + LEFT_OUT),
    "a duration of 10^400 ns": ("0", NO_PROFILE + LEFT_OUT),
    "a duration below 0": ("0", NO_PROFILE + LEFT_OUT),
    "parts that are longer than the call": (f"0: {LEFT_OUT}", NO_PROFILE + LEFT_OUT),
    "a count below 0": (NO_LEVELS + LEFT_OUT, NO_PROFILE + LEFT_OUT),
    "a count beyond any context": (NO_LEVELS + LEFT_OUT, NO_PROFILE + LEFT_OUT),
    "no figures at all": (NO_LEVELS + UNTOLD_TOKENS, "3: it does not tell its token counts"),
    "figures that are all 0": (NO_LEVELS + UNTOLD_TOKENS, "3: it does not tell its token counts"),
    "no durations": (f"0: {UNTOLD_TIMES}", NO_PROFILE + "the server does not tell counts and times"),
    "durations that are all 0": (f"0: {UNTOLD_TIMES}", NO_PROFILE + "the server does not tell counts and times"),
}


def comes_to(name: str, command: str) -> str:
    """Return the exit code of `run`, `probe` or `calibrate` where calls have this fault, and what it says.

    A probe and a calibration ask for whole answers, of which two lines are no JSON. Left out is what a call says, too.
    """
    if command == "run":
        return "0"
    if name in OTHERWISE:
        return OTHERWISE[name][command == "calibrate"]
    fault = FAULTS[name]
    return "3: the answer is no JSON" if not fault.whole else "0" if fault.outcome == "ok" else "3"
