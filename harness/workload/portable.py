"""A workload that can be taken elsewhere: what it names by file lies beside it, copied, under names of its own.

    inputs/NAME/00001.txt   the documents of `inputs: {NAME: {files: ...}}`, in their order
    profiles/NAME.yaml      the profiles of simulated servers, and of machines

A GGUF file that is named by path is not copied: it is too large.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from harness.content import find
from harness.errors import WorkloadError
from harness.workload.schema import FileInput, FrozenDict, Workload
from harness.workload.schema.base import Spec
from harness.workload.source import read_text

__all__ = ["copies", "portable"]


def portable(workload: Workload, folder: Path) -> Workload:
    """Return the workload with the names that its `copies` have; `folder` is where it was loaded from."""
    inputs = {
        name: FileInput(files=f"inputs/{name}/*.txt") if isinstance(spec, FileInput) else spec
        for name, spec in workload.inputs.items()
    }
    places: dict[str, dict[str, Spec]] = {"servers": {**workload.servers}, "machines": {**workload.machines}}
    for (key, name), (target, _) in _profiles(workload, folder).items():
        if _is_path(_named(workload)[key, name]):
            places[key][name] = places[key][name].model_copy(update={"profile": target})
    changes = {"inputs": FrozenDict(inputs), **{key: FrozenDict(place) for key, place in places.items()}}
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


def _named(workload: Workload) -> dict[tuple[str, str], str]:
    """Return the profiles that are named, by the key and the name of the entry that does it."""
    servers = {("servers", name): spec.simulation for name, spec in workload.servers.items()}
    machines = {("machines", name): spec.profile for name, spec in workload.machines.items()}
    found = {at: simulation.profile for at, simulation in servers.items() if simulation is not None}
    return found | {at: profile for at, profile in machines.items() if profile is not None}


def _profiles(workload: Workload, folder: Path) -> dict[tuple[str, str], tuple[str, Path]]:
    """Return for each entry that names a profile where the copy goes, and where the profile is."""
    found: dict[tuple[str, str], tuple[str, Path]] = {}
    taken: dict[str, Path] = {}
    # Those by name come first: a name is looked for in one place, and a path can be another.
    for at, profile in sorted(_named(workload).items(), key=lambda item: _is_path(item[1])):
        path = _file(profile, folder)
        if path is None:
            continue
        written = PurePosixPath(profile)
        keep = _is_path(profile) and written.parts[0] == "profiles" and ".." not in written.parts
        target, number = str(written) if keep else f"profiles/{_bare(profile)}.yaml", 2
        while taken.setdefault(target, path) != path:  # another one of that name
            target, number = f"profiles/{number}/{_bare(profile)}.yaml", number + 1
        found[at] = target, path
    return found


def _bare(profile: str) -> str:
    return profile.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")


def _is_path(profile: str) -> bool:
    """Whether a profile is named by path."""
    return profile != _bare(profile)


def _file(profile: str, folder: Path) -> Path | None:
    """Return the file of a profile, looked for as it is when it is needed; None: there is none to read."""
    try:
        elsewhere = Path(profile) if _is_path(profile) else find("profiles", f"{profile}.yaml", folder)
        path = next((path for path in (folder / profile, elsewhere) if path is not None and path.is_file()), None)
        if path is not None:
            read_text(path)
        return path
    except (WorkloadError, OSError, ValueError):
        return None
