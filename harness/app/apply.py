"""Act on an answer: write the settings of one server of a candidate into the one file that its manager reads.

`apply` and `revert` say what would be done, as a `FileChange`. Nothing is done before that is handed to `carry_out`,
and no command is executed before `execute` is called with it. What stands in a run folder is input: it is compared
with a strict form (`harness.deploy.checked`) before it becomes a line of a file, and reaches no shell.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from harness.app.apply_places import PLACES, PLAIN_NAME, Commands, commands_for, find_place
from harness.app.kept_file import Content, Kept, Mark, kept_of, put, put_back, read_file, refusal
from harness.app.options import REPORTS, ApplyOptions
from harness.app.report import Reported, report
from harness.app.settings import chosen_candidate
from harness.core.records import PREDICTED
from harness.deploy.block import block_in
from harness.deploy.checked import NAMES, checked_service
from harness.deploy.deployment import DeployedServer, Deployment, deployment_of
from harness.deploy.serve import serve_lines
from harness.errors import ServerFailure, UserError, did_you_mean
from harness.measure.machine import machine_facts
from harness.runs.model import Run
from harness.wording.applied import interrupts, slots_said, where_from
from harness.workload.schema import KINDS

__all__ = ["FileChange", "apply", "carry_out", "execute", "probe_slots", "revert"]

COMMAND_S = 600.0
ANSWER_S = 60.0


class FileChange(NamedTuple):
    """A file, and what is to become of it."""

    path: Path
    kind: str
    why: str  # this kind
    service: str
    now: Content | None  # None: there is no file
    new: str | None  # None: the file goes
    mark: Mark
    commands: Commands
    notes: tuple[str, ...] = ()
    refused: str = ""  # why it cannot be written
    candidate: str = ""
    server: str = ""
    url: str = ""
    slots: int = 0  # asked for
    models: tuple[str, ...] = ()  # that the run had there
    kept: Kept | None = None  # of a revert: what is put back

    @property
    def before(self) -> str:
        """What the file says now."""
        return "" if self.now is None else self.now.text

    @property
    def interrupts(self) -> str:
        """What its commands interrupt, a sentence."""
        return interrupts(self.kind, self.service)

    @property
    def needed(self) -> bool:
        """Whether the file is not already as it is to be."""
        return self.new is None or self.now is None or self.before != self.new


def apply(run: Path, options: ApplyOptions = ApplyOptions()) -> FileChange:
    """Say what has to be written so that a server of this machine is as a candidate of a run has it. Writes nothing.

    Args:
        run: a run folder, or the name of one in reports/.
        options: which candidate, which of its servers, and where it is written.

    Raises:
        UserError: there is no such run, candidate, server or file, or nothing is recommended.
    """
    found = _report(run)
    server, candidate, models = _server(found, options)
    place = find_place(server, options.kind, options.to)
    now = read_file(place.path)
    try:
        new = place.write("" if now is None else now.text)
    except ValueError as error:
        raise UserError(f"{place.path}: {error}; name another file with --to") from None
    mark = Mark(place.kind, place.service, tuple(place.variables))
    return FileChange(
        path=place.path,
        kind=place.kind,
        why=place.why,
        service=place.service,
        now=now,
        new=new,
        mark=mark,
        commands=place.commands,
        notes=(*_where_from(found.run, server), *place.notes),
        refused=refusal(place.path),
        candidate=candidate,
        server=server.use.server,
        url=server.url,
        slots=server.use.slots,
        models=models,
    )


def revert(run: Path | None, options: ApplyOptions = ApplyOptions()) -> FileChange:
    """Say how a file becomes what it was before the first `apply`. Writes nothing.

    Args:
        run: as for `apply`; None: `options.to` is the file.
        options: the same as for `apply`.

    Raises:
        UserError: nothing was applied there.
    """
    if run is None and options.to is None:
        raise UserError("name the run that was applied, or the file: slotwise apply --revert --to PATH")
    path = options.to.absolute() if options.to is not None else Path()
    if options.to is None and run is not None:
        path = find_place(_server(_report(run), options)[0], options.kind, None).path
    kept = kept_of(path)
    if kept is None:
        raise UserError(f"{path}: nothing to revert: slotwise apply has written nothing there")
    kind, service, _ = kept.mark
    if kind not in PLACES:
        raise UserError(f"{path}: nothing to revert: what is kept of it is of another kind")
    if kind != "compose":
        checked_service(service)
    elif not re.fullmatch(PLAIN_NAME, service):
        raise UserError(f"{path}: nothing to revert: what is kept of it names no service")
    names = {name: "" for name in kept.mark.variables if name in NAMES}
    now = read_file(path)
    return FileChange(
        path=path,
        kind=kind,
        why="as it was applied",
        service=service,
        now=now,
        new=None if kept.before is None else kept.before.text,
        mark=kept.mark,
        commands=commands_for(kind, path, service, names, undone=kept.before is None),
        refused=refusal(path),
        kept=kept,
        notes=() if kept.ours(now) else ("edited",),
    )


def carry_out(change: FileChange) -> None:
    """Write the file, or put it back; nothing else is touched.

    Raises:
        UserError: it has changed meanwhile, or cannot be written: it is as it was.
    """
    if change.kept is not None:
        if read_file(change.path) != change.now:
            raise UserError(f"{change.path}: it has changed since it was shown; nothing was done, so start again")
        put_back(change.path, change.kept)
        return
    assert change.new is not None
    ours = change.kind == "launchd" or block_in(change.before) is not None
    put(
        change.path,
        change.new.encode("utf-8", "surrogateescape"),
        change.now,
        change.mark,
        has_ours=change.now is not None and ours,
    )


def execute(change: FileChange) -> None:
    """Execute the commands that have the file read; none goes through a shell.

    Raises:
        ServerFailure: one is not there, or fails: the message has its last lines.
    """
    for command in change.commands:
        program = shutil.which(command[0])
        if program is None:
            raise ServerFailure(f"no `{command[0]}` on the PATH; the file is written, and nothing was restarted")
        try:
            done = subprocess.run(  # noqa: S603 - the words are ours, or were checked
                [program, *command[1:]],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerFailure(f"{' '.join(command)}: {error}") from None
        if done.returncode and "unload" not in command and command[0] != "killall":  # those end what may not run
            said = " ".join((done.stderr or done.stdout).split())[-400:]
            raise ServerFailure(f"{' '.join(command)} failed with {done.returncode}: {said}")


def probe_slots(change: FileChange, url: str | None = None, model: str | None = None) -> str:
    """Count the slots of the server that was changed, as `slotwise probe` does, and say why they are not enough.

    Args:
        change: what was applied.
        url: where the server answers, if not where the settings say.
        model: which of its models; None: its only one, or that of the run.

    Raises:
        UserError: the model has to be chosen.
        ServerFailure: it does not answer.
    """
    from harness.app.slots import count_slots

    deadline_s = time.monotonic() + ANSWER_S
    return slots_said(asyncio.run(count_slots(url or change.url, change.slots, change.models, model, deadline_s)))


def _where_from(run: Run, server: DeployedServer) -> tuple[str, ...]:
    here = machine_facts()
    machines = [
        " and ".join(str(one[key]) for key in ("cpu", "accelerator") if key in one) for one in (run.machine, here)
    ]
    kind = KINDS.get(server.use.kind)
    predicted = run.origin in PREDICTED  # its machine is the profile's, which says it in other words
    return where_from(
        run.origin,
        embedded=kind is not None and kind.embedded,
        machine="" if predicted else machines[0],
        here=machines[1],
    )


def _report(run: Path) -> Reported:
    folder = REPORTS / run if not run.exists() and (REPORTS / run).is_dir() else run
    if not folder.exists():
        raise UserError(
            f"{run}: no such run; expected a run folder, or a name in {REPORTS}/ (slotwise runs lists them)"
        )
    return report(folder)


def _server(found: Reported, options: ApplyOptions) -> tuple[DeployedServer, str, tuple[str, ...]]:
    """Return a server of a candidate, the candidate's name, and the models that the run had on the server."""
    name = chosen_candidate(found.analysis, options.candidate)
    servers = {one.use.server: one for one in deployment_of(found.analysis.by_name[name]).servers}
    if not servers:
        raise UserError(f'"{name}" was not measured or predicted, so there is no setting to write; choose another one')
    wanted = options.server
    if wanted is None and len(servers) > 1:
        listed = ", ".join(f"{one} at {server.url}" for one, server in servers.items())
        raise UserError(
            f'"{name}" has {len(servers)} servers, and one is applied at a time: choose with --server NAME ({listed})'
        )
    wanted = next(iter(servers)) if wanted is None else wanted
    if wanted not in servers:
        hint = did_you_mean(wanted, servers)
        raise UserError(f'--server: expected one of {", ".join(servers)}, found "{wanted}"{hint}')
    if servers[wanted].other_kind is not None:
        raise UserError(
            f"{wanted} is no Ollama, and apply writes Ollama's settings. Start it again by hand: "
            f"{serve_lines(Deployment((servers[wanted],)))[0].removeprefix('# ')}"
        )
    models = tuple(server.model for server in found.run.servers if server.name == wanted)
    return servers[wanted], name, models
