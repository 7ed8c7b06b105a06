"""What all parts of the workload schema are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field
from pydantic_core import PydanticCustomError

__all__ = ["FrozenDict", "Name", "PositiveSeconds", "Seconds", "Spec", "Table", "mistake", "one_key_of", "shape"]

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

    def __hash__(self) -> int:  # type: ignore[override]
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
