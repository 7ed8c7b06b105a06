"""Small workloads (a fan-out, a chat, both, two models) on a profile without noise: for tests of the search."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from predict.paper import PROFILE as DYADIC

from harness.predict.servers import Profiles
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.recommend.evaluate import Problem
from harness.recommend.facts import LimitSource, MemoryNeed, MemorySource
from harness.recommend.space import Space, design_space
from harness.workload.load import Loaded, load_workload

MADE_UP = (MemorySource("profile", "made up"), LimitSource("given"))  # of a memory of which the numbers matter
UNKNOWN = MemoryNeed(None, None, None, MemorySource("unknown", "paper", "gemma4"), LimitSource("unknown", "paper"))
M1_PROMPTS = {"prefill_s_per_token": 0.0004}

# The machine of the predictions, with four slots and with half of its threads.
PROFILE = DYADIC.replace("name: dyadic", "name: paper").replace(
    "contention: null",
    """\
  4: {step_s: {1: 0.125, 2: 0.1875, 4: 0.25}, prefill_s_per_token: 0.0078125, prefill_batch_tokens: 512,
      context_s_per_token: 0, mixed_factor: 1, before_s: 0, after_s: 0}
half:
  1: {step_s: {1: 0.1875}, prefill_s_per_token: 0.015625, prefill_batch_tokens: 512, context_s_per_token: 0,
      mixed_factor: 1, before_s: 0, after_s: 0}
  4: {step_s: {1: 0.1875, 4: 0.375}, prefill_s_per_token: 0.015625, prefill_batch_tokens: 512,
      context_s_per_token: 0, mixed_factor: 1, before_s: 0, after_s: 0}
contention: {2: 1.25}""",
)

AGENT = '{agent: {prompt: "A question of some length: {item}", output_tokens: OUT}, over: items}'

FAN = f"""
version: 1
name: fan
pipelines:
  fan:
    path: batch
    jobs: 1
    nodes:
      part: {AGENT}
inputs:
  items: {{list: [ITEMS]}}
servers:
  ollama: {{kind: ollama, model: gemma4}}
"""

CHAT = """
version: 1
name: chat
pipelines:
  chat:
    path: interactive
    jobs: 4
    arrival: {closed: 1, think_s: 1}
    nodes:
      reply: {agent: {prompt: "A question of some length.", output_tokens: OUT}}
servers:
  ollama: {kind: ollama, model: gemma4}
"""

BOTH = """
version: 1
name: both
pipelines:
  digest:
    path: batch
    jobs: 2
    nodes:
      part: {agent: {prompt: "Summarise this: {item}", output_tokens: [8, 24]}, over: items}
      join: {agent: {prompt: "Join them.", output_tokens: 12}, after: [part]}
  chat:
    path: interactive
    while: digest
    arrival: {closed: 1, think_s: 1}
    GOAL
    nodes:
      reply: {agent: {prompt: "A short question.", output_tokens: 10}}
inputs:
  items: {list: ["one", "two", "three", "four", "five"]}
servers:
  ollama: {kind: ollama, model: gemma4}
"""


def fan(items: int, tokens: int = 100) -> str:
    """A fan-out of this many calls."""
    return FAN.replace("ITEMS", ", ".join(f'"{n}"' for n in range(items))).replace("OUT", str(tokens))


def chat(tokens: int = 100) -> str:
    """One person, chatting."""
    return CHAT.replace("OUT", str(tokens))


def talk() -> str:
    """Two people, each in conversations that grow; what was said before can be found in the prompt cache."""
    session = "session: {turns: 3, think_s: 0.5, reuse_prefix: true}"
    text = chat(12).replace("closed: 1, think_s: 1}", f"closed: 2, think_s: 1}}\n    {session}")
    return text.replace("jobs: 4", "jobs: 6")


def both(goal: str = "") -> str:
    """A batch of sizes that vary beside a chat."""
    return BOTH.replace("GOAL", f"goal: {{{goal}}}" if goal else "")


def two_models(folder: Path) -> tuple[Loaded, dict[str, Profile]]:
    """A draft by a small model and an answer by a large one, four at a time, and a profile of each."""
    text = FAN.replace("ITEMS", '"a", "b", "c", "d"').replace("OUT", "12").replace("model: gemma4", "model: small")
    text = text.replace(
        "inputs:", '      answer: {agent: {model: large, prompt: "Go on.", output_tokens: 8}, after: [part]}\ninputs:'
    )
    loaded = loaded_of(folder, text)
    of_small = paper(folder)
    return loaded, {name: of_small.model_copy(update={"name": name, "model_id": name}) for name in ("small", "large")}


def loaded_of(folder: Path, text: str) -> Loaded:
    """Write a workload and load it."""
    path = folder / "workload.yaml"
    path.write_text(text, encoding="utf-8")
    return load_workload(path)


def paper(folder: Path) -> Profile:
    """Write the profile and load it."""
    path = folder / "paper.yaml"
    path.write_text(PROFILE, encoding="utf-8")
    return load_profile(str(path))


def alone(folder: Path) -> Profile:
    """The same, but how two servers slow each other is unknown there: every candidate has one."""
    path = folder / "paper.yaml"
    path.write_text(PROFILE.replace("contention: {2: 1.25}", "contention: null"), encoding="utf-8")
    return load_profile(str(path))


def on_paper(folder: Path, text: str) -> tuple[Space, Problem, Profile]:
    """A workload's space on the profile."""
    profile = paper(folder)
    space = design_space(loaded_of(folder, text), profile)
    return space, Problem(space.loaded, Profiles(profile)), profile


class Deadly(dict[str, float]):
    """What is given beside a profile; the first process that looks into it dies, as one does that the system kills."""

    flag: str = ""

    def __bool__(self) -> bool:
        if self.flag and os.path.exists(self.flag):  # noqa: PTH110 - a text travels to other processes
            os.unlink(self.flag)  # noqa: PTH108 - as above
            os.kill(os.getpid(), signal.SIGKILL)
        return False
