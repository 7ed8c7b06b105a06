"""`slotwise profile`: the profiles of machines that there are, and what each knows."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.help import Command, Commands
from harness.cli.options import Json

__all__ = ["app"]

app = typer.Typer(cls=Commands, help="Profiles of machines: list them, or show what one knows.", no_args_is_help=True)


@app.command("list", cls=Command)
def list_(as_json: Json = False) -> None:
    """List the profiles that --profile NAME finds: shipped ones, and your own."""
    from harness.app.profiles import known_profiles
    from harness.report.profiles import print_profiles, profiles_plain

    found = [(one.name, one.kind, one.profile, one.mistake) for one in known_profiles()]
    if as_json:
        import json

        print(json.dumps(profiles_plain(found), indent=2))
        return
    from rich.console import Console

    print_profiles(found, Console(highlight=False))


@app.command(cls=Command)
def show(
    name: Annotated[str, typer.Argument(help="Its name, or a file.", show_default=False)], as_json: Json = False
) -> None:
    """Show what a profile knows, how sure that is, and what to measure to make it sure."""
    from harness.app.profiles import known_profile
    from harness.report.profiles import print_profile, profile_plain

    found = known_profile(name)
    assert found.profile is not None  # else it was raised
    if as_json:
        import json

        print(json.dumps(profile_plain(found.name, found.kind, found.profile), indent=2))
        return
    from rich.console import Console

    print_profile(found.profile, Console(highlight=False))
