"""Answers that a server ends because they repeat themselves.

Ollama counts equal pieces in a row, without the spaces around them, and after more than thirty it ends the stream
without a final line (llm/llama_server.go in 0.33: `tokenRepeat > 30`). Nothing is wrong with the server or the network;
but of such a call no counts are known.
"""

from __future__ import annotations

__all__ = ["REPEATED", "SAID", "repeats_itself"]

REPEATED = "repetition"  # the `done_reason` of such a call
SAID = (
    "the model repeated itself, and the server ended the answer without a final line, as Ollama does after thirty "
    "equal pieces; another prompt, seed or temperature avoids it"
)
PIECES = 30
LONGEST = 24  # characters of a piece


def repeats_itself(text: str) -> bool:
    """Tell whether a text ends with one and the same piece, over and over."""
    if len(text) > PIECES and not text[-PIECES:].strip():
        return True
    written = "".join(text.split())
    return any(
        written.endswith(written[-length:] * PIECES) for length in range(1, LONGEST + 1) if len(written) >= length
    )
