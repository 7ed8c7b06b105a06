"""Levers: settings of the engine, beside its slots, that change how fast a pipeline is.

All that is known of one is said here: its values, the variables that `ollama serve` is given, how the engine's log
shows it, what it risks, and, for two of them, its effect in the server model. Of the others the effect is not known:
they can be measured, and are never predicted. To add one: a value in `LEVERS`, a row in docs/reference/levers.md, and,
where the embedded engine is to have it too, a line in `harness.servers.llamacpp_engine`.

Read in llama.cpp (`set_env` in common/arg.cpp; Ollama 0.33 pins b10488) and in Ollama 0.33 (llm/llama_server.go,
envconfig/config.go). Ollama's engine inherits its environment (`SetupLlamaServerCommandEnv`), but an argument comes
before a variable, and Ollama passes `--flash-attn` always and `-b` and `-ub` alike, so there LLAMA_ARG_FLASH_ATTN,
LLAMA_ARG_BATCH and LLAMA_ARG_UBATCH do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.core.step_costs import StepCosts
from harness.errors import did_you_mean

__all__ = [
    "AS_MADE",
    "LEVERS",
    "RAM_CACHE_BYTES",
    "Lever",
    "Levers",
    "is_file",
    "kv_share",
    "lever_value",
    "levers_said",
    "risks_said",
    "unusual",
    "with_levers",
]

RAM_CACHE_BYTES = (
    8192 << 20
)  # llama.cpp's --cache-ram unless it is set (common/common.h: cache_ram_mib); Ollama sets none
# Bytes of a value in the KV cache. ggml keeps 32 of them in a block with a scale of two bytes (ggml/src/ggml-common.h:
# block_q8_0, block_q4_0).
KV_VALUE_BYTES = {"f16": 2.0, "q8_0": (32 + 2) / 32, "q4_0": (16 + 2) / 32}


# --- the effect of those that the server model knows ------------------------------------------------------------------


class Levers(NamedTuple):
    """None: as the profile was made."""

    ram_cache: bool | None = None  # llama.cpp's cache of prompts in main memory; it cannot be turned on unmeasured
    kv_unified: bool | None = None  # one KV cache for all slots


AS_MADE = Levers()


def with_levers(costs: StepCosts, levers: Levers) -> StepCosts:
    """Return the costs of the same server with other settings."""
    if levers.ram_cache is False:
        costs = costs._replace(ram_cache=None)
    if levers.kv_unified is not None and costs.passes is not None:
        costs = costs._replace(passes=costs.passes._replace(unified=levers.kv_unified))
    return costs


# --- each of them -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lever:
    """One setting of the engine."""

    name: str  # in a workload and everywhere else
    about: str  # one sentence
    values: tuple[str, ...]  # as a workload says them; empty: a whole number
    usual: str  # what Ollama does where nothing is set; may be none of `values`
    variables: Mapping[str, Mapping[str, str]]  # of `ollama serve`, by value; empty: it has none for it
    since: str  # the first Ollama whose engine reads them
    log: str  # the engine's line, as a regular expression with the value as its group
    logged: Mapping[str, str]  # value by what stands there; empty: the value itself
    risks: Mapping[str, str]  # by value, a sentence; "" for any value
    said: Mapping[str, str]  # by value, as a clause: "without a RAM prompt cache"; empty: name and value
    source: str  # where all this is from
    instead: str = ""  # what to do with an Ollama, where it has no variable
    takes_file: bool = False  # a GGUF file is a value, too, which Ollama has no variable for
    searched: bool = True  # its predicted effect was seen where it was measured, so a search may go by it

    def seen(self, log: str) -> str | None:
        """Return the value that the engine's log tells, the last; None = it does not."""
        found = re.findall(self.log, log)
        return (self.logged.get(found[-1], found[-1]) if self.logged else found[-1]) if found else None

    def risk(self, value: str) -> str:
        """Return what this value risks, a sentence or ""."""
        return self.risks.get(value, self.risks.get("", ""))

    def clause(self, value: str) -> str:
        """Return it in words, for the middle of a sentence."""
        if self.takes_file and is_file(value):
            return f"with {value.rpartition('/')[2]} as a draft model"
        return self.said.get(value, f"{self.name.replace('_', ' ')} {value}")

    def expected(self) -> str:
        """Return what a workload may say of it."""
        values = (*self.values, "a GGUF file (.gguf)") if self.takes_file else self.values
        return f"{', '.join(values[:-1])} or {values[-1]}" if values else "a whole number of tokens"

    def allows(self, value: str) -> bool:
        """Tell whether a workload may say this value of it."""
        if not self.values:
            return value.isdecimal() and int(value) > 0
        return value in self.values or (self.takes_file and is_file(value))


_SWITCH = ("on", "off")


def is_file(value: str) -> bool:
    """Tell whether a value of a lever is a model's file."""
    return value.endswith(".gguf")


LEVERS = {
    lever.name: lever
    for lever in (
        Lever(
            name="ram_cache",
            about="Copies of earlier calls' contexts in main memory, made as a slot is given to another call while all "
            "slots wait.",
            values=_SWITCH,
            usual="on",
            variables={"on": {"LLAMA_ARG_CACHE_RAM": "8192"}, "off": {"LLAMA_ARG_CACHE_RAM": "0"}},
            since="0.30",
            log=r"prompt cache is (enabled|disabled)",
            logged={"enabled": "on", "disabled": "off"},
            risks={
                "off": "a conversation that had to leave its slot is read again from its first word at its next turn.",
                "on": "it takes up to 8 GiB of main memory for each loaded model, which `ollama ps` does not show, and "
                "under load it can put another conversation into a fresh slot (llama.cpp #27148).",
            },
            said={"off": "without the RAM prompt cache", "on": "with the RAM prompt cache"},
            source="llama.cpp PR 16391 (--cache-ram), server-context.cpp",
        ),
        Lever(
            name="kv_unified",
            about="One KV cache for all slots, so that busy slots with any numbers are computed in one pass.",
            values=_SWITCH,
            usual="off",
            variables={"on": {"LLAMA_ARG_KV_UNIFIED": "1"}, "off": {"LLAMA_ARG_KV_UNIFIED": "0"}},
            since="0.30",
            log=r"\bkv_unified\s*=\s*'?(true|false)",
            logged={"true": "on", "false": "off"},
            risks={
                "on": "slots share their context: long calls can leave too little to others, which then fail, and "
                "attention goes over everybody's cache (llama.cpp PR 14363).",
            },
            said={"on": "with a unified KV cache", "off": "with a KV cache for each slot"},
            source="llama.cpp PR 14363 (--kv-unified) and issue 25840",
            searched=False,  # on an H100 a fifth was predicted for a pipeline, and less than the noise was measured
        ),
        Lever(
            name="flash_attention",
            about="Attention in blocks that never hold the whole matrix: less memory, on most GPUs faster.",
            values=_SWITCH,
            usual="auto",
            variables={"on": {"OLLAMA_FLASH_ATTENTION": "1"}, "off": {"OLLAMA_FLASH_ATTENTION": "0"}},
            since="0.1.39",
            log=r"\bflash_attn\s*=\s*(\w+)",
            logged={"enabled": "on", "disabled": "off", "1": "on", "0": "off"},
            risks={"": "some devices and models are slower with it, others without it: only measuring tells."},
            said={"on": "with flash attention", "off": "without flash attention"},
            source="Ollama envconfig/config.go, llama.cpp --flash-attn",
        ),
        Lever(
            name="kv_type",
            about="The number format of the KV cache: q8_0 takes half of the memory of f16, q4_0 about a quarter.",
            values=("f16", "q8_0", "q4_0"),
            usual="f16",
            variables={value: {"OLLAMA_KV_CACHE_TYPE": value} for value in ("f16", "q8_0", "q4_0")},
            since="0.5",
            log=r"\bK \((\w+)\):",
            logged={},
            risks={
                "q8_0": "answers may differ a little; it needs flash attention.",
                "q4_0": "answers get worse with some models; it needs flash attention.",
            },
            said={},
            source="Ollama envconfig/config.go, llama.cpp --cache-type-k and --cache-type-v",
        ),
        Lever(
            name="micro_batch",
            about="Prompt tokens in one pass of the engine, at most `batch_tokens`; fewer hold others up less long.",
            values=(),
            usual="",
            variables={},
            since="",
            log=r"\bn_ubatch\s*=\s*(\d+)",
            logged={},
            risks={"": "a long prompt is read more slowly."},
            said={},
            source="llama.cpp --ubatch-size; Ollama passes -ub as large as -b",
            instead="Ollama has no variable for it, its micro-batch is as large as `batch_tokens`: set that, or use "
            "the embedded engine (kind: llamacpp)",
        ),
        Lever(
            name="speculation",
            about="Tokens that something cheap guesses are checked by the model in one pass.",
            values=("ngram", "off"),
            usual="off",
            variables={"ngram": {"LLAMA_ARG_SPEC_TYPE": "ngram-simple"}, "off": {"LLAMA_ARG_SPEC_TYPE": "none"}},
            since="0.33",
            log=r"adding speculative implementation '([\w-]+)'",
            logged={"ngram-simple": "ngram", "ngram_simple": "ngram"},
            risks={
                "": "wrong guesses cost time: with many calls at once, or answers that repeat nothing, it can be "
                "slower. A draft model takes memory of its own and needs the model's vocabulary.",
            },
            said={"ngram": "with speculation from repeated words", "off": "without speculation"},
            source="llama.cpp --spec-type, --spec-draft-model (--model-draft); in Ollama 0.33 a model with a draft "
            "of its own has `--spec-type` as an argument, which comes before the variable",
            takes_file=True,
        ),
    )
}


def lever_value(name: str, value: object) -> str:
    """Return the value of a lever as it is kept: what YAML reads as a boolean is on or off, a number its digits.

    Raises:
        ValueError: there is no such lever or value; the message says what there is.
    """
    lever = LEVERS.get(name)
    if lever is None:
        if name in ("threads", "batch_tokens", "slots", "context_tokens"):
            raise ValueError(f'no lever "{name}"; `{name}` is a key of the server itself')
        hint = did_you_mean(name, tuple(LEVERS)) or f"; expected {', '.join(LEVERS)}"
        raise ValueError(f'no lever "{name}"{hint}')
    found = {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    if not lever.allows(found):
        alike = {"true": "on", "false": "off"}.get(found)
        if alike not in lever.values:
            raise ValueError(f'{name}: expected {lever.expected()}, found "{found}"')
        found = alike
    return found


def kv_share(settings: Mapping[str, object]) -> float:
    """Return the size of a KV cache over that at f16, by a server's `kv_type`; left out: it is at f16."""
    return KV_VALUE_BYTES[str(settings.get("kv_type", "f16"))] / KV_VALUE_BYTES["f16"]


def unusual(settings: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return the levers among settings of a server, by name, that are not as Ollama has them where nothing is set."""
    found = ((name, settings.get(name)) for name in LEVERS)
    return tuple((name, value) for name, value in found if isinstance(value, str) and value != LEVERS[name].usual)


def risks_said(levers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return what levers risk, a sentence for each that does."""
    found = ((LEVERS[name].clause(value), LEVERS[name].risk(value)) for name, value in levers)
    return tuple(f"{clause[0].upper()}{clause[1:]}: {risk}" for clause, risk in found if risk)


def levers_said(levers: Iterable[tuple[str, str]]) -> str:
    """Return levers as one clause: "without the RAM prompt cache, with a unified KV cache"."""
    return ", ".join(LEVERS[name].clause(value) for name, value in levers)
