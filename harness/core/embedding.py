"""What embedding costs a server: one text after the other, of all requests.

Ollama gives a model that embeds one slot, whatever OLLAMA_NUM_PARALLEL says (server/sched.go). It sends each text of a
request to the engine by itself, all at once, and each waits for that slot, first come, first served (`EmbedHandler` in
server/routes.go, `Embedding` in llm/llama_server.go; read in 0.33). So the texts of a request follow each other, a
request that comes later waits for all texts before it, and nothing is batched. Embeddings never read a prompt cache.

This is the loop of `harness.core.server_model` with one slot and a text a step, which shares it with nobody.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.core.server_model import ServerModel
from harness.core.step_costs import StepCosts

__all__ = ["EmbeddingCosts", "EmbeddingModel"]

_NOBODY_GENERATES = StepCosts(decode_s=(0.0, 1.0), batch_tokens=1 << 40)


class EmbeddingCosts(NamedTuple):
    """What a request costs, in seconds: `request_s` once, outside the slot; in it, each text and each token."""

    request_s: float
    text_s: float
    token_s: float

    def sped_up(self, factor: float) -> EmbeddingCosts:
        """Return them divided by a factor."""
        return EmbeddingCosts(self.request_s / factor, self.text_s / factor, self.token_s / factor)

    def alone_s(self, texts: int, tokens: int) -> float:
        """Return what a request takes where nobody else is there."""
        return self.request_s + texts * self.text_s + tokens * self.token_s


class EmbeddingModel(ServerModel):
    """A model that embeds. Its requests have `texts`, and one output token, which ends with the last text.

    The texts of a request are taken to be equally long: that changes nothing but where it can be given up.
    """

    __slots__ = ("_embedding",)

    def __init__(self, costs: EmbeddingCosts) -> None:
        super().__init__(_NOBODY_GENERATES)
        self._embedding = costs

    def _prompt_step_s(self, generating: int) -> float:
        """Take the next text; return what it costs."""
        (request,) = self._prompts
        texts, tokens, done = request.texts, request.prompt_tokens, request.prompt_done
        texts_done = -(-done * texts // tokens)
        text = tokens * (texts_done + 1) // texts - done
        if request.prompt_s is None:
            request.prompt_s = self._now_s
        self._pieces.append((request, text))
        return self._embedding.text_s + self._embedding.token_s * text
