"""A workload that can be taken elsewhere: what it names by file lies beside it, copied, under names of its own.

    inputs/NAME/00001.txt   the documents of `inputs: {NAME: {files: ...}}`, in their order
    profiles/NAME.yaml      the profiles of simulated servers

A GGUF file that is named by path is not copied: it is too large.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from harness.content import find
from harness.errors import WorkloadError
from harness.workload.schema import FileInput, FrozenDict, ServerSpec, Workload
from harness.workload.source import read_text

__all__ = ["copies", "portable"]


def portable(workload: Workload, folder: Path) -> Workload:
    """Return the workload with the names that its `copies` have; `folder` is where it was loaded from."""
    inputs = {
        name: FileInput(files=f"inputs/{name}/*.txt") if isinstance(spec, FileInput) else spec
        for name, spec in workload.inputs.items()
    }
    servers = {**workload.servers}
    for name, (target, _) in _profiles(workload, folder).items():
        if _is_path(workload.servers[name]):
            servers[name] = workload.servers[name].model_copy(update={"profile": target})
    changes = {"inputs": FrozenDict(inputs), "servers": FrozenDict(servers)}
    return workload.model_copy(update={key: value for key, value in changes.items() if value != getattr(workload, key)})


def copies(workload: Workload, inputs: Mapping[str, tuple[str, ...]], folder: Path) -> dict[str, bytes]:
    """Return the files that the `portable` workload names, by their path beside it.

    Args:
        workload: as it was loaded from `folder`.
        inputs: the items of every input.
        folder: where profiles are looked for; one that is not there is left out, and is missing there as it is here.
    """
    result = {
        f"inputs/{name}/{number:05}.txt": _document(item)
        for name, spec in workload.inputs.items()
        if isinstance(spec, FileInput)
        for number, item in enumerate(inputs[name], start=1)
    }
    for target, path in _profiles(workload, folder).values():
        result[target] = read_text(path).encode()
    return result


def _document(item: str) -> bytes:
    """Write an item so that `fixed_inputs` reads it back, which drops a byte order mark and turns CRLF into LF."""
    text = item.replace("\n", "\r\n") if "\r\n" in item else item
    return text.encode("utf-8-sig" if text.startswith("\ufeff") else "utf-8")


def _profiles(workload: Workload, folder: Path) -> dict[str, tuple[str, Path]]:
    """Return for each simulated server where the copy of its profile goes, and where the profile is."""
    found: dict[str, tuple[str, Path]] = {}
    taken: dict[str, Path] = {}
    # Those by name come first: a name is looked for in one place, and a path can be another.
    for name, spec in sorted(workload.servers.items(), key=lambda item: _is_path(item[1])):
        path = _profile(spec, folder)
        if spec.simulation is None or path is None:
            continue
        written = PurePosixPath(spec.simulation.profile)
        keep = _is_path(spec) and written.parts[0] == "profiles" and ".." not in written.parts
        target, number = str(written) if keep else f"profiles/{spec.model}.yaml", 2
        while taken.setdefault(target, path) != path:  # another one of that name
            target, number = f"profiles/{number}/{spec.model}.yaml", number + 1
        found[name] = target, path
    return found


def _is_path(spec: ServerSpec) -> bool:
    """Whether a simulated server names its profile by path."""
    return spec.simulation is not None and spec.simulation.profile != spec.model


def _profile(spec: ServerSpec, folder: Path) -> Path | None:
    """Return the file of a server's profile, looked for as the server does; None: there is none to read."""
    if spec.simulation is None:
        return None
    profile = spec.simulation.profile
    try:
        elsewhere = Path(profile) if _is_path(spec) else find("profiles", f"{profile}.yaml", folder)
        path = next((path for path in (folder / profile, elsewhere) if path is not None and path.is_file()), None)
        if path is not None:
            read_text(path)
        return path
    except (WorkloadError, OSError, ValueError):
        return None
