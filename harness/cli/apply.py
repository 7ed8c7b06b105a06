"""`slotwise apply`: write what a run recommends into the file that starts the server, and take it back."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.app.options import ApplyOptions
from harness.cli.options import force_option, model_option, server_option
from harness.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.app.apply import FileChange

__all__ = ["apply"]


def apply(
    run: Annotated[
        Path | None, typer.Argument(help="A run folder, or its name in reports/.", show_default=False)
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar="NAME", help="The candidate to apply; default: the recommended one.")
    ] = None,
    server: Annotated[
        str | None, server_option("The server to apply, where the candidate has several.", metavar="NAME")
    ] = None,
    as_: Annotated[
        str | None,
        typer.Option("--as", metavar="KIND", help="systemd, launchd or compose; default: what this machine has."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The file to write; default: where it is read.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking. Does not restart the server.")] = False,
    restart: Annotated[
        bool | None,
        typer.Option("--restart/--no-restart", help="Restart the server afterwards, or not; default: ask."),
    ] = None,
    undo: Annotated[bool, typer.Option("--revert", help="Put back what was there before the first apply.")] = False,
    force: Annotated[bool, force_option("Revert a file that somebody else has changed since.")] = False,
    probe: Annotated[
        bool | None,
        typer.Option("--probe/--no-probe", help="Count the server's slots; default: after a restart."),
    ] = None,
    model: Annotated[str | None, model_option("The model to count slots with.")] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the server answers, if not where the settings say.")
    ] = None,
) -> None:
    """Write the settings that a run recommends for the server of this machine. Asks first; --revert takes it back."""
    if force and not undo:
        raise UserError("--force goes with --revert")
    if run is None and not undo:
        raise UserError("expected a run: slotwise apply RUN (slotwise runs lists them)")
    asking = sys.stdin.isatty()
    if not (asking or yes or dry_run):
        raise UserError("nobody can be asked here, so nothing was changed: repeat it with --yes, or with --dry-run")
    options = ApplyOptions(candidate=candidate, server=server, kind=as_, to=to, force=force)
    from rich.console import Console

    from harness.app import apply as doing

    console = Console(highlight=False, markup=False, emoji=False)
    change = doing.revert(run, options) if undo else doing.apply(run or Path(), options)
    _show(change, console)
    edited = undo and bool(change.notes)
    if edited and not force:
        raise UserError(f"{change.path}: somebody else has changed it since; nothing was done. --force reverts it too")
    if dry_run:
        console.print("Nothing was written (--dry-run).")
        return
    if change.needed or undo:
        if change.refused:
            raise UserError(_refused(change, console))
        if not yes and not typer.confirm("Put the file back?" if undo else "Write this file?"):
            console.print("Nothing was changed.")
            return
        doing.carry_out(change)
        _say_done(change, console)
    _effective(change, console, asking=asking and not yes, restart=restart, probe=probe, url=url, model=model)


def _effective(
    change: FileChange,
    console: Console,
    *,
    asking: bool,
    restart: bool | None,
    probe: bool | None,
    url: str | None,
    model: str | None,
) -> None:
    """Restart the server where that is agreed, and count its slots."""
    from harness.app.apply import execute, probe_slots

    if restart is None and asking and change.commands:
        restart = typer.confirm("Execute these commands now?")
    if restart and change.commands:
        execute(change)
        console.print("Restarted.", soft_wrap=True)
    elif change.commands:
        console.print("Not restarted: the server keeps its old settings until these commands are executed.")
    if change.kept is None and (probe or (probe is None and restart and change.commands)):
        from harness.report.text import plain

        console.print(plain(probe_slots(change, url, model)), soft_wrap=True)


def _show(change: FileChange, console: Console) -> None:
    from harness.report.difference import print_difference
    from harness.report.text import plain

    if change.kept is None:
        console.print(plain(f'"{change.candidate}", server {change.server}, with {change.kind}: {change.why}.'))
    if change.needed:
        before = None if change.now is None else change.before
        print_difference(before, change.new, str(change.path), console)
    else:
        console.print(plain(f"{change.path} is already as it is to be."), soft_wrap=True)
    for note in change.notes:
        if note != "edited":
            console.print(plain(f"- {note}."), soft_wrap=True)
    if change.commands:
        console.print("\nThen the server has to read it. These commands are executed only if you agree:")
        for command in change.commands:
            console.print(plain(f"    {shlex.join(command)}"), soft_wrap=True)
        console.print(plain(change.interrupts))
    else:
        console.print("Nothing reads the file there by itself: put it where its server looks for it.")


def _say_done(change: FileChange, console: Console) -> None:
    if change.kept is None:
        back = f"slotwise apply --revert --to {shlex.quote(str(change.path))}"
        console.print(f"Wrote {change.path}. What was there before comes back with: {back}", soft_wrap=True)
    else:
        what = "was removed, as it did not exist before" if change.new is None else "is what it was before"
        console.print(f"{change.path} {what}.", soft_wrap=True)


def _refused(change: FileChange, console: Console) -> str:
    """Print the text to paste, and return what to do."""
    if change.new is not None:
        from harness.report.text import plain

        console.print("\nTo paste:")
        for line in change.new.splitlines():
            console.print(plain(line), soft_wrap=True)
    program = shutil.which("slotwise") or "slotwise"
    repeat = shlex.join(["sudo", program, *sys.argv[1:]])
    return (
        f"{change.path}: cannot be written: {change.refused}. Repeat it with sudo ({repeat}), or name another file "
        "with --to"
    )
