"""The columns that a dataset takes from its source: `order_id: string`, or with the source's own ways."""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from keepfit.spec.fields import Closed, Column

LogicalType = Literal["string", "int64", "float64", "bool", "timestamp", "date"]
_DIRECTIVE = re.compile(r"%(-?.?)")
_KNOWN = "-d -H -I -m -M -S a A b B d f H I j m M p S y Y z Z %".split()  # noqa: SIM905 - one list to read


class TakenSpec(Closed):
    """A column that its source names or writes in a way of its own."""

    type: LogicalType
    """What its values are."""
    column: Annotated[str, Field(min_length=1)] | None = None
    """What the source calls it, with any characters; as here when not given."""
    format: str | None = None
    """How a timestamp or date is written, such as `%d/%m/%Y %H:%M`; ISO 8601 when not given."""

    @property
    def has_full_year(self) -> bool:
        """Whether the format has %Y, the year in four digits."""
        return "Y" in _DIRECTIVE.findall(self.format or "")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.format is None:
            return self
        if self.type not in ("timestamp", "date"):
            raise ValueError(f"`format` says how a timestamp or date is written, and this is {self.type}")
        directives = _DIRECTIVE.findall(self.format)
        if unknown := [each for each in directives if each not in _KNOWN]:
            known = ", ".join(f"%{each}" for each in _KNOWN)
            raise ValueError(f"`format` has %{unknown[0]}, which stands for nothing. There are: {known}")
        if not {"y", "Y"} & set(directives):
            raise ValueError(f"`format` is {self.format!r}, which names no year (%Y, or %y for two digits)")
        return self


def _form(value: object) -> str:
    return "long" if isinstance(value, dict | TakenSpec) else "short"


def _own(name: object) -> object:
    if isinstance(name, str) and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        short = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
        short = short if short[:1].isalpha() else f"column_{short}".rstrip("_")
        raise ValueError(
            f"needs letters, digits and _, not beginning with a digit, got {name!r}. If the source calls it "
            f"so, choose a name for it: `{short}: {{type: ..., column: {name!r}}}`"
        )
    return name


OwnName = Annotated[Column, BeforeValidator(_own)]
TakenColumn = Annotated[
    Annotated[LogicalType, Tag("short")] | Annotated[TakenSpec, Tag("long")], Discriminator(_form)
]
