"""A file that is replaced as a whole, with what was there before kept beside it.

For a file `NAME` that is `.NAME.slotwise` in the same folder: what the file was, and what was written in its place. Any
user who undoes it finds it there. It moves with the folder, and neither systemd, launchd nor `docker compose` reads it.
It is written first, so a process that is killed at any point leaves the old file or the new one, and a way back.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UserError

__all__ = [
    "Content",
    "Kept",
    "Mark",
    "kept_of",
    "put",
    "put_back",
    "read_file",
    "refusal",
    "remove_kept",
    "replace_file",
]

_LARGEST_BYTES = 1 << 20
_VERSION = 1


class Content(NamedTuple):
    """A file as it is: its bytes, rights and owner."""

    data: bytes
    mode: int
    uid: int
    gid: int

    @property
    def digest(self) -> str:
        """Its bytes in short."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def text(self) -> str:
        """Its bytes as a text, whatever they are."""
        return self.data.decode("utf-8", "surrogateescape")


class Mark(NamedTuple):
    """What a file was written for."""

    kind: str
    service: str
    variables: tuple[str, ...]


class Kept(NamedTuple):
    """What is kept of a file that was replaced."""

    before: Content | None  # None: there was no file
    mark: Mark
    written: tuple[str, ...] = ()  # digests of all that was put in its place
    edited: bool = False  # somebody else changed it between two of them
    made_folder: bool = False

    def ours(self, now: Content | None) -> bool:
        """Whether the file is as it was written here, or as it was before."""
        if now is None or self.before is None:
            return now is self.before or (now is not None and not self.edited and now.digest in self.written)
        return now.data == self.before.data or (not self.edited and now.digest in self.written)


def _kept_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.slotwise")


def read_file(path: Path) -> Content | None:
    """Return a file as it is; None where there is none.

    Raises:
        UserError: it is no plain file, is too large, or cannot be read.
    """
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {_why(error)}") from None
    if stat.S_ISLNK(found.st_mode):
        raise UserError(f"{path}: it is a link to {path.resolve()}; links are not followed, name that file with --to")
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'something else'}")
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {_why(error)}") from None
    if len(data) > _LARGEST_BYTES:
        raise UserError(f"{path}: larger than any file of settings")
    return Content(data, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def refusal(path: Path) -> str:
    """Return why a file cannot be replaced, as far as that shows before; "": nothing speaks against it."""
    folder = path.parent
    if not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "permission denied"
    found = path.lstat() if os.path.lexists(path) else None
    if found is not None and found.st_uid != os.geteuid() and os.geteuid() != 0:
        return "it belongs to another user"
    return ""


def put(path: Path, data: bytes, now: Content | None, mark: Mark, *, has_ours: bool) -> None:
    """Put `data` in place of a file that is `now`, at once or not at all; its rights and owner stay.

    Args:
        path: the file.
        data: the whole of what it is to have.
        now: what it is, as its user was shown it; None: there is none.
        mark: what it is written for.
        has_ours: something of ours is in it now. Else whatever was done before is over, and `now` is what
            `put_back` puts back.

    Raises:
        UserError: it has changed meanwhile, or cannot be written; it is as it was.
    """
    if read_file(path) != now:
        raise UserError(f"{path}: it has changed since it was shown; nothing was written, so start again")
    kept = kept_of(path)
    made_folder = not path.parent.exists()
    if kept is None or not has_ours:
        kept = Kept(now, mark, made_folder=made_folder or (kept is not None and kept.made_folder))
    elif not kept.ours(now):
        kept = kept._replace(edited=True)
    new = Content(data, 0o644, os.geteuid(), os.getegid()) if now is None else now._replace(data=data)
    kept = kept._replace(mark=mark, written=(*kept.written, new.digest))
    mine = (os.geteuid(), os.getegid())
    try:
        path.parent.mkdir(exist_ok=True)
        replace_file(_kept_path(path), Content(_dumped(kept), 0o600, *mine))
        replace_file(path, new)
    except OSError as error:
        with contextlib.suppress(OSError):
            if made_folder:
                _kept_path(path).unlink(missing_ok=True)
                path.parent.rmdir()
        raise UserError(f"{path}: cannot be written: {_why(error)}; it is as it was") from None


def put_back(path: Path, kept: Kept) -> None:
    """Make a file what it was before: its bytes, rights and owner, or no file.

    Raises:
        UserError: it cannot be written; it is as it was.
    """
    try:
        if kept.before is None:
            path.unlink(missing_ok=True)
            _flush(path.parent)
        else:
            replace_file(path, kept.before)
    except OSError as error:
        raise UserError(f"{path}: cannot be put back: {_why(error)}; it is as it was") from None
    remove_kept(path)
    if kept.made_folder:
        with contextlib.suppress(OSError):  # somebody has put something there
            path.parent.rmdir()


def remove_kept(path: Path) -> None:
    """Forget what a file was."""
    with contextlib.suppress(OSError):
        _kept_path(path).unlink(missing_ok=True)


def kept_of(path: Path) -> Kept | None:
    """Return what is kept of a file; None where nothing is.

    Raises:
        UserError: it cannot be read.
    """
    found = read_file(_kept_path(path))
    if found is None:
        return None
    try:
        return _loaded(json.loads(found.data))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{_kept_path(path)}: expected what slotwise apply kept of {path.name}") from None


def _dumped(kept: Kept) -> bytes:
    before = None if kept.before is None else kept.before._asdict()
    if before is not None and kept.before is not None:
        before["data"] = base64.b64encode(kept.before.data).decode()
    plain = kept._asdict() | {"version": _VERSION, "before": before, "mark": kept.mark._asdict()}
    return (json.dumps(plain, indent=1) + "\n").encode()


def _loaded(plain: Any) -> Kept:
    if plain["version"] != _VERSION:
        raise ValueError
    before, mark = plain["before"], plain["mark"]
    if before is not None:
        data = base64.b64decode(before["data"], validate=True)
        # Never more than rights: no bit that lets a file run as its owner.
        before = Content(data, int(before["mode"]) & 0o777, int(before["uid"]), int(before["gid"]))
    return Kept(
        before,
        Mark(str(mark["kind"]), str(mark["service"]), tuple(map(str, mark["variables"]))),
        tuple(map(str, plain["written"])),
        bool(plain["edited"]),
        bool(plain["made_folder"]),
    )


def replace_file(path: Path, content: Content) -> None:
    """Put the content in place of a file at once: whole on the disk beside it first, then renamed."""
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.data)
            os.fchmod(file.fileno(), content.mode)
            if (content.uid, content.gid) != (os.fstat(file.fileno()).st_uid, os.fstat(file.fileno()).st_gid):
                os.fchown(file.fileno(), content.uid, content.gid)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(scratch).unlink()
        raise
    _flush(path.parent)


def _flush(folder: Path) -> None:
    """Have the folder's own entries on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
