"""Find, read and write profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.content import available, find
from harness.errors import UserError, WorkloadError, did_you_mean
from harness.profiles.one_call import pooled
from harness.profiles.schema import Profile
from harness.workload.mistakes import validate
from harness.workload.source import parse_yaml, read_text

__all__ = ["dump_profile", "load_profile"]


def load_profile(name: str, near: Path | None = None) -> Profile:
    """Load a profile by name (`profiles/NAME.yaml` beside the workload, here, or shipped) or by path.

    What a single call costs is shared by slot settings whose calibrations show no difference there (`pooled`).
    WorkloadError lists every mistake in the file as file:line:column; UserError where there is no such profile.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path: Path | None = Path(name)
    else:
        path = find("profiles", f"{name}.yaml", near)
    if path is None:
        known = available("profiles", ".yaml", near)
        there = f"; there is: {', '.join(known)}; " if known else "; there is none yet; "
        hint = f"{close} " if (close := did_you_mean(name, known)) else there
        raise UserError(
            f'no profile "{name}"{hint}`slotwise calibrate` makes one, `slotwise profile new` estimates one'
        )
    source = parse_yaml(read_text(path), str(path))
    if source.data is None:
        raise WorkloadError(str(path), "the file is empty; `slotwise calibrate` writes a profile")
    return pooled(validate(Profile, source))


def dump_profile(profile: Profile, comment: str = "") -> str:
    """Write a profile as YAML that `load_profile` reads back equal; `comment` goes above it."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    data = _plain(profile.model_dump(mode="json", exclude_unset=True))
    return lines + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _plain(value: Any) -> Any:
    """Numbers as keys without quotes."""
    if isinstance(value, dict):
        return {int(key) if key.isdecimal() else key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
