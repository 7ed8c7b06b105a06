"""A profile with exact times and no noise ("a machine on paper"), and a workload: for predictions checked by hand."""

from harness.profiles.schema import Embedding, Profile
from harness.workload.load import Loaded

PROFILE = """
version: 1
name: dyadic
origin: assumed
source: made up for tests, in multiples of 1/512 s
date: null
machine: a machine on paper
engine: none
model: none
slots:
  1: {step_s: {1: 0.125}, prefill_s_per_token: 0.0078125, prefill_batch_tokens: 512, context_s_per_token: 0,
      mixed_factor: 1, before_s: 0, after_s: 0}
  2: {step_s: {1: 0.125, 2: 0.1875}, prefill_s_per_token: 0.0078125, prefill_batch_tokens: 512,
      context_s_per_token: 0, mixed_factor: 1, before_s: 0, after_s: 0}
contention: null
"""

WORKLOAD = """
version: 1
name: paper
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      part: {agent: {prompt: "TEXT{item}", output_tokens: 5}, over: items}
      join: {agent: {prompt: "TEXT", output_tokens: 3}, after: [part]}
inputs:
  items: {list: ["", ""]}
servers:
  one: {kind: llamacpp, slots: 1}
  two: {kind: llamacpp, slots: 2}
compare:
  serial: {placement: one, concurrency: serial}
  window: {placement: two, concurrency: window}
""".replace("TEXT", "0123456789abcdef" * 4)


def knowing(profile: Profile, loaded: Loaded) -> Profile:
    """A profile that knows what embedding costs with the one model that a workload embeds with; made up."""
    for model in loaded.embedding_models:
        costs = Embedding(model=model, request_s=0.0078125, text_s=0.015625, token_s=0.001953125, stretch=1.5, load_s=1)
        return profile.model_copy(update={"embedding": costs, "load_s": profile.load_s or 2.0})
    return profile
