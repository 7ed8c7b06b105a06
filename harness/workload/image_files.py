"""The image files of agents: found, checked, read."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from harness.content import check_inside
from harness.errors import WorkloadError
from harness.workload.schema import AgentSpec

__all__ = ["data_url", "image_digests", "image_files", "read_image"]

MAX_IMAGE_BYTES = 20 * 1024 * 1024
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def read_image(name: str, folder: Path) -> bytes:
    """Read an image below `folder`; WorkloadError where there is none, or not one of a known kind."""
    if Path(name).is_absolute() or ".." in Path(name).parts or name.startswith(("~", "\\")):
        raise WorkloadError(name, "expected the path of an image below the workload's folder")
    path = folder / name
    check_inside(path, folder)
    try:
        size = path.stat().st_size
        if size > MAX_IMAGE_BYTES:
            raise WorkloadError(str(path), f"expected an image of at most {MAX_IMAGE_BYTES} bytes, found {size}")
        data = path.read_bytes()
    except OSError as error:
        raise WorkloadError(str(path), f"the image cannot be read ({error.strerror or error})") from None
    if not _kind(data):
        raise WorkloadError(str(path), "expected a PNG, JPEG or WebP image")
    return data


def image_files(agents: Iterable[AgentSpec], folder: Path) -> dict[str, bytes]:
    """Return all images that agents are shown, by name, each once."""
    names = dict.fromkeys(name for agent in agents for name in agent.images)
    return {name: read_image(name, folder) for name in names}


def image_digests(agents: Iterable[AgentSpec], folder: Path) -> dict[str, str]:
    """Return a digest of each of these."""
    return {name: sha256(data).hexdigest()[:16] for name, data in image_files(agents, folder).items()}


def data_url(data: bytes) -> str:
    """Write an image as a URL that holds it, as LangChain's messages take it."""
    return f"data:image/{_kind(data)};base64,{base64.b64encode(data).decode()}"


def _kind(data: bytes) -> str:
    if data.startswith(_PNG):
        return "png"
    if data.startswith(_JPEG):
        return "jpeg"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""
