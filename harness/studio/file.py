"""The file that a workbench works on: what the page begins with, whether it changed elsewhere, and saving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from harness import __version__
from harness.app.design_file import FileState, design_path, file_state, save_design
from harness.app.init import open_starting_points
from harness.app.look import begun
from harness.errors import SlotwiseError, UserError
from harness.studio.forms import API_VERSION, StudioQuestion
from harness.studio.keep_forms import FileAnswer, FileAsked, SaveAsked
from harness.studio.work import DesignPlace

__all__ = ["DesignFile", "Opened"]


class Opened(NamedTuple):
    """What the page begins with."""

    place: DesignPlace
    text: str
    named: bool = True  # the design has a file, or the name of a new one


class DesignFile:
    """The file of one workbench. Each method may be called in a thread; one is at work at a time.

    Args:
        opened: what the workbench was started with.
        root: the folder that a design without a file is saved below.
    """

    def __init__(self, opened: Opened, root: Path) -> None:
        self.place = opened.place
        self._opened, self._root, self._named = opened, root, opened.named
        self._one = Lock()

    def start(self) -> dict[str, Any]:
        """Return what the page begins with: what is in the file now.

        Raises:
            UserError: it cannot be read.
        """
        with self._one:
            file = self.place.file
            text, digest = self._opened.text, ""
            if self._named:
                found = file_state(file)
                text, digest = (found.text, found.digest) if found.digest else (begun(file).text, "")
            return {
                "api": API_VERSION,
                "slotwise": __version__,
                "file": str(file),
                "named": self._named,
                "folder": str(self._root.resolve()),
                "text": text,
                "digest": digest,
                "profiles": list(self.place.profiles),
                "starts": [] if digest else [{"name": name, "about": about} for name, about in open_starting_points()],
            }

    def answer(self, asked: FileAsked) -> FileAnswer:
        """Answer /api/file and /api/save."""
        return self._answered(asked, self._saved if isinstance(asked, SaveAsked) else self._compared)

    def _compared(self, asked: Any) -> FileState:
        return file_state(self.place.file, asked.text) if self._named else FileState("", "", ())

    def _saved(self, asked: Any) -> FileState:
        path = self.place.file
        if asked.name and self._named and design_path(self._root, asked.name).resolve() != path.resolve():
            raise UserError(f"this workbench works on {path} already; start another one for {asked.name}")
        if not self._named:
            path = design_path(self._root, asked.name)
        found = save_design(path, asked.text, asked.digest)
        if found.saved:
            self.place, self._named = self.place._replace(file=path), True
        return found

    def _answered(self, asked: StudioQuestion, find: Callable[[Any], FileState]) -> FileAnswer:
        said: dict[str, Any] = {"tab": asked.tab, "version": asked.version}
        with self._one:
            try:
                found = find(asked)
            except SlotwiseError as error:
                return FileAnswer.model_validate({**said, "state": "failed", "message": str(error)})
            same = found.saved or found.digest == getattr(asked, "digest", "")
            more = {} if same else {"text": found.text, "difference": list(found.difference)}
            file = str(self.place.file) if self._named else ""
            return FileAnswer.model_validate(
                {**said, "file": file, "digest": found.digest, "saved": found.saved, "same": same, **more}
            )
