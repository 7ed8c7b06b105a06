"""Machines that servers stand on."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from harness.units import read_size
from harness.workload.schema.base import Spec, mistake

__all__ = ["MachineSpec"]


def _a_size(text: str) -> str:
    if not read_size(text):
        raise mistake(f'expected a size such as 80GB or 24GiB, found "{text}"')
    return text


class MachineSpec(Spec):
    """A machine, or one GPU, that servers name with `machine`."""

    profile: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Profile of the servers there, by name or path; --profile MACHINE=NAME comes before it.",
        examples=["h100-8b"],
    )
    memory: Annotated[str, AfterValidator(_a_size)] | None = Field(
        default=None, description="Memory that the servers there have together.", examples=["80GB"]
    )

    @property
    def memory_bytes(self) -> int | None:
        """Its `memory`; None = not said."""
        return None if self.memory is None else read_size(self.memory)
