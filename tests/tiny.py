"""A workload that takes seconds on real inference, without servers and candidates: for tests from end to end."""

PIPELINES = """
version: 1
name: tiny
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      summarize: {agent: {prompt: "Say something about {item}.", output_tokens: 4}, over: topics}
      merge: {agent: {prompt: "Join: {summarize}", output_tokens: 4}, after: [summarize]}
  chat:
    path: interactive
    while: digest
    arrival: {closed: 1, think_s: 0.1}
    nodes:
      reply: {agent: {prompt: "Hello!", system: "Be brief.", output_tokens: 3}}
inputs:
  topics: {list: [tides, bread, owls]}
"""
