"""Names of models as they are compared."""

from __future__ import annotations

import pytest

from harness.profiles.model_id import BUILTIN_FILES, model_id
from harness.servers.models import BUILTIN


def test_the_files_are_those_of_the_built_in_models() -> None:
    assert {name: model.file_name for name, model in BUILTIN.items()} == BUILTIN_FILES


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("smollm2-135m", "smollm2-135m"),
        ("~/models/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m"),
        ("gemma-3-270m-q4_k_m.gguf", "gemma3-270m"),
        ("SmolLM2-135M-Instruct.Q8_0.gguf", "smollm2-135m-instruct.q8_0"),  # other steps, so another model
        ("/a/b/My.Model.GGUF", "my.model"),
        ("llama3.2:latest", "llama3.2"),
        ("Llama3.2", "llama3.2"),
        ("llama3.2:3b", "llama3.2:3b"),
        ("hf.co/some/model", "hf.co/some/model"),
    ],
)
def test_name(name: str, found: str) -> None:
    assert model_id(name) == found
    assert model_id(found) == found
