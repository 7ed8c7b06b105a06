"""What all parts of the workload schema are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from harness.errors import WorkloadError

__all__ = [
    "FrozenDict",
    "Name",
    "PositiveSeconds",
    "Seconds",
    "Spec",
    "Table",
    "mistake",
    "numbers_of_file",
    "one_key_of",
    "shape",
    "text_or_list",
]

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
V = TypeVar("V")


class FrozenDict(dict[str, V]):
    """A dict that cannot be changed: pydantic's `frozen` stops at the first container."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a loaded workload is frozen")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none: it can change
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict[V]], tuple[dict[str, V]]]:
        return FrozenDict, (dict(self),)


Table = Annotated[Mapping[Name, V], AfterValidator(FrozenDict)]


def shape(text: str, mapping: str) -> Discriminator:
    """Choose between `text` and `mapping` by what was written: one mistake, one message."""

    def choose(value: Any) -> str | None:
        if isinstance(value, str):
            return "<text>"
        return "<mapping>" if isinstance(value, (Mapping, BaseModel)) else None

    return Discriminator(choose, custom_error_type="shape", custom_error_message=f"expected {text} or {mapping}")


def text_or_list(expected: str) -> Discriminator:
    """Choose between a text, which names a file, and a list by what was written."""

    def choose(value: Any) -> str | None:
        if isinstance(value, str):
            return "<text>"
        return "<list>" if isinstance(value, (list, tuple)) else None

    return Discriminator(choose, custom_error_type="shape", custom_error_message=f"expected {expected}")


def numbers_of_file(read: Callable[[str, Path], tuple[float, ...]], what: str, instead: str) -> AfterValidator:
    """Put a file's numbers in place of its name, so that what is loaded needs no other file.

    Args:
        read: reads the file of that name below the workload's folder.
        what: the file holds.
        instead: what to write where there is no workload file.
    """

    def put(value: tuple[float, ...] | str, info: ValidationInfo) -> tuple[float, ...]:
        if not isinstance(value, str):
            return value
        folder = (info.context or {}).get("folder")
        if folder is None:
            raise mistake(f"a file of {what} can be named in a workload file only; write {instead} here")
        try:
            return read(value, folder)
        except WorkloadError as error:
            raise mistake(str(error)) from None

    return AfterValidator(put)


def one_key_of(keys: Iterable[str]) -> Discriminator:
    """Choose a variant by the one key of `keys` that was written."""
    keys = tuple(keys)

    def choose(value: Any) -> str | None:
        if isinstance(value, BaseModel):
            fields = {field.alias or name for name, field in type(value).model_fields.items()}
            return next((f"<{key}>" for key in keys if key in fields), None)
        found = [key for key in keys if isinstance(value, Mapping) and key in value]
        return f"<{found[0]}>" if len(found) == 1 else None

    return Discriminator(
        choose,
        custom_error_type="one_key_of",
        custom_error_message="expected a mapping with exactly one of {keys}",
        # Hashable, because `Annotated[..., Discriminator] | None` is hashed.
        custom_error_context=FrozenDict({"keys": ", ".join(f"`{key}`" for key in keys)}),
    )


def mistake(message: str, *at: str | int) -> PydanticCustomError:
    """Make an error that `mistakes` points at the key `at` below the model that raised it."""
    return PydanticCustomError("mistake", "{message}", {"message": message, "at": at})


class Spec(BaseModel):
    """Base of everything in a workload file: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)
