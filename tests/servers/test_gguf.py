"""The GGUF header reader, on headers written here from the format's specification."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.servers.gguf import read_gguf

Writer = Callable[..., bytes]

METADATA = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.file_type": 3,
    "llama.block_count": 2,
    "llama.context_length": 512,
    "llama.embedding_length": 24,
    "llama.attention.head_count": 6,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["a", "bc", "é"],
    "tokenizer.chat_template": "{{ messages }}",
    "tokenizer.ggml.add_bos_token": True,
}

DATA = bytes(64)  # more than the alignment of 32: the last tensor, at offset 0, begins within the file


def test_what_a_header_says(tmp_path: Path, gguf_bytes: Writer) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf_bytes(METADATA, {"a": (3, 4), "b": (5,)}) + DATA)
    found = read_gguf(path)
    assert (found.architecture, found.name, found.quantization) == ("llama", "Tiny", "Q4_1")
    assert (found.parameters, found.context_tokens) == (17, 512)
    assert found.kv_bytes_per_token == 2 * 2 * 2 * (4 + 4)  # f16 x layers x KV heads x (key + value)
    assert found.chat_template == "{{ messages }}"
    assert found.file_bytes == path.stat().st_size
    assert found.metadata["tokenizer.ggml.add_bos_token"] is True
    assert "tokenizer.ggml.tokens" not in found.metadata


def test_heads_by_layer_and_explicit_lengths(tmp_path: Path, gguf_bytes: Writer) -> None:
    more = {
        "llama.attention.head_count_kv": [1, 3],
        "llama.attention.key_length": 8,
        "llama.attention.value_length": 16,
    }
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf_bytes(METADATA | more, {}))
    assert read_gguf(path).kv_bytes_per_token == 2 * (1 + 3) * (8 + 16)


def test_every_cut_is_told_as_such(tmp_path: Path, gguf_bytes: Writer) -> None:
    data = gguf_bytes(METADATA, {"a": (3, 4)})
    path = tmp_path / "cut.gguf"
    for end in range(4, len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(UserError, match=r"cut\.gguf: the GGUF header is truncated or damaged"):
            read_gguf(path)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"cut\.gguf: the file is truncated: its last tensor begins after its end"):
        read_gguf(path)
    path.write_bytes(data + DATA)
    read_gguf(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"not a GGUF file \(an empty file\)"),
        (b"PK\x03\x04zip", r"not a GGUF file \(starts with b'PK\\x03\\x04' instead of b'GGUF'\)"),
        (b"GGUF\x00\x00\x00\x03" + bytes(16), r"GGUF version 50331648, expected 2 or 3"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 16, r"the GGUF header is truncated or damaged"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_gguf(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such model file$"):
        read_gguf(tmp_path / "none.gguf")
    with pytest.raises(UserError, match=r"a folder, expected a GGUF file$"):
        read_gguf(tmp_path)
