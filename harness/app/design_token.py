"""The token of a workbench that is started again at the same port, so that a page that is still open goes on."""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from harness.content import cache_dir

__all__ = ["kept_token"]


def kept_token(port: int) -> str:
    """Return the token of a port: the one that this user had there before, else a new one.

    It is kept in the user's cache, in a file that nobody else can read. Where it cannot be kept, it is a new one.
    """
    path = cache_dir() / "studio" / f"port-{port}"
    if (found := _read(path)) is not None:
        return found
    token = secrets.token_urlsafe(24)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token)
    return token


def _read(path: Path) -> str | None:
    """Return the token in a file; None where there is none, or others could have read or written it."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            found = os.fstat(file.fileno())
            text = file.read(100)
    except (OSError, ValueError):
        return None
    private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return text if private and re.fullmatch(r"[\w-]{32}", text) else None
