"""Read the header of a GGUF file: what the model is, without its weights.

Own code rather than PyPI's `gguf`: that package builds numpy views of every tensor and pulls in more
packages, and this file is needed where the engine is not installed. Format: ggml's docs/gguf.md, versions 2
and 3.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UserError

__all__ = ["Gguf", "kv_bytes_per_token", "read_gguf"]

MAGIC = b"GGUF"
KEYS_MAX = 10_000
TENSORS_MAX = 1_000_000
ARRAY_KEPT = 1024  # longer arrays, and all arrays of strings (the vocabulary), are stepped over
DIGEST_BYTES = 1 << 20

# value types 0..12 of the format; 8 is a string, 9 an array
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9

# llama.cpp's llama_ftype
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip


class Gguf(NamedTuple):
    """What a header says; 0 and "" where it does not say."""

    metadata: dict[str, Any]
    architecture: str
    name: str
    quantization: str
    parameters: int
    context_tokens: int  # the training context
    kv_bytes_per_token: int  # at f16, every layer at full context: an upper bound where a window slides
    chat_template: str
    file_bytes: int
    digest: str  # hex; of size and first MiB: names the file without reading gigabytes


class _CutError(Exception):
    """The header points past the end of the file, or says something impossible."""


def read_gguf(path: Path) -> Gguf:
    """Return what the header of `path` says; a file that is not GGUF, or a truncated one, is a `UserError`."""
    try:
        with path.open("rb") as file:
            found = file.read(4)
            if found != MAGIC:
                kind = "an empty file" if not found else f"starts with {found!r} instead of {MAGIC!r}"
                raise UserError(f"{path}: not a GGUF file ({kind}); expected a model in llama.cpp's format")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, data)
    except FileNotFoundError:
        raise UserError(f"{path}: no such model file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, expected a GGUF file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(path: Path, data: mmap.mmap) -> Gguf:
    reader = _Reader(data)
    try:
        version = reader.scalar(4)
        if version not in (2, 3):
            raise UserError(f"{path}: GGUF version {version}, expected 2 or 3 (a big-endian or damaged file?)")
        tensors, keys = reader.scalar(10), reader.scalar(10)
        if keys > KEYS_MAX or tensors > TENSORS_MAX:
            raise _CutError
        metadata: dict[str, Any] = {}
        for _ in range(keys):
            key = reader.string()
            value = reader.value(reader.scalar(4))
            if value is not None:
                metadata[key] = value
        found = [reader.tensor() for _ in range(tensors)]
        last = max((offset for _, offset in found), default=0)
        if tensors and reader.aligned(metadata.get("general.alignment", 32)) + last >= len(data):
            raise UserError(f"{path}: the file is truncated: its last tensor begins after its end; fetch it again")
    except (_CutError, struct.error):
        raise UserError(f"{path}: the GGUF header is truncated or damaged; fetch the file again") from None
    architecture = str(metadata.get("general.architecture", ""))
    template = metadata.get("tokenizer.chat_template", "")
    return Gguf(
        metadata={key: value for key, value in metadata.items() if key != "tokenizer.chat_template"},
        architecture=architecture,
        name=str(metadata.get("general.name", "")),
        quantization=FILE_TYPES.get(metadata.get("general.file_type", -1), ""),
        parameters=sum(elements for elements, _ in found),
        context_tokens=int(metadata.get(f"{architecture}.context_length", 0)),
        kv_bytes_per_token=kv_bytes_per_token(metadata, architecture),
        chat_template=template if isinstance(template, str) else "",
        file_bytes=len(data),
        digest=hashlib.sha256(len(data).to_bytes(8, "little") + data[:DIGEST_BYTES]).hexdigest(),
    )


def kv_bytes_per_token(metadata: Mapping[str, Any], architecture: str) -> int:
    """Return 2 bytes x layers x KV heads x (key length + value length): one token of the KV cache at f16.

    0 where the metadata (of a header, or of `/api/show`) do not say.
    """

    def number(key: str) -> Any:
        return metadata.get(f"{architecture}.{key}", 0)

    layers, heads = number("block_count"), number("attention.head_count")
    kv_heads = number("attention.head_count_kv") or heads
    if isinstance(heads, list):
        heads = max(heads, default=0)
    if not layers or not heads:
        return 0
    default = number("embedding_length") // heads
    per_head = (number("attention.key_length") or default) + (number("attention.value_length") or default)
    total_heads = sum(kv_heads) if isinstance(kv_heads, list) else layers * kv_heads
    return int(2 * total_heads * per_head)


class _Reader:
    """A cursor over the mapped file; every step is checked against its end."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = len(MAGIC)

    def scalar(self, kind: int) -> Any:
        (value,) = struct.unpack_from("<" + SCALARS[kind], self._data, self._at)
        self._at += struct.calcsize("<" + SCALARS[kind])
        return value

    def _skip(self, n_bytes: int) -> None:
        self._at += n_bytes
        if self._at > len(self._data):
            raise _CutError

    def string(self) -> str:
        length = self.scalar(10)
        start = self._at
        self._skip(length)
        return self._data[start : self._at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """Return a value, or None for one that is only stepped over."""
        if kind in SCALARS:
            return self.scalar(kind)
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            raise _CutError
        inner, count = self.scalar(4), self.scalar(10)
        if inner in SCALARS:
            width = struct.calcsize("<" + SCALARS[inner])
            start = self._at
            self._skip(count * width)
            if count > ARRAY_KEPT:
                return None
            return list(struct.unpack_from(f"<{count}{SCALARS[inner]}", self._data, start))
        if inner != STRING:
            raise _CutError  # arrays of arrays are allowed by the format and used by nobody
        at, end, unpack = self._at, len(self._data), struct.Struct("<Q").unpack_from
        for _ in range(count):  # the vocabulary: a quarter of a million strings, so no method calls
            at += 8 + unpack(self._data, at)[0]
            if at > end:
                raise _CutError
        self._at = at
        return None

    def aligned(self, to_bytes: int) -> int:
        """Return where the tensors' data begin."""
        return -(-self._at // to_bytes) * to_bytes if isinstance(to_bytes, int) and to_bytes > 0 else self._at

    def tensor(self) -> tuple[int, int]:
        """Return the number of elements of the next tensor, and its offset in the data."""
        self.string()
        dimensions = self.scalar(4)
        if dimensions > 8:
            raise _CutError
        elements: int = math.prod(self.scalar(10) for _ in range(dimensions))
        self.scalar(4)  # type
        return elements, self.scalar(10)
