"""The name by which the model of a profile and that of a workload are compared."""

from __future__ import annotations

__all__ = ["BUILTIN_FILES", "model_id"]

# The files of the built-in models (harness.servers.models), so that a path to one is the same model as its name.
BUILTIN_FILES = {
    "smollm2-135m": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "gemma3-270m": "gemma-3-270m-q4_k_m.gguf",
}


def model_id(name_or_path: str) -> str:
    """Return the name to compare: of a file its own without folder and suffix, of Ollama's without `:latest`.

    A quantisation is part of a file's name, and another one is another model: it has other step times.
    """
    name = name_or_path.replace("\\", "/")
    if name.lower().endswith(".gguf"):
        name = name.rpartition("/")[2]
        for builtin, file in BUILTIN_FILES.items():
            if name.lower() == file.lower():
                return builtin
        name = name[: -len(".gguf")]
    return name.lower().removesuffix(":latest")
