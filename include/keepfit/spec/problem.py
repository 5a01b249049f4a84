"""One thing wrong in one file, said so that its writer can put it right."""

import dataclasses
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong with a field of a file."""

    file: str
    """Relative to `feature_repo/`."""
    field: str
    """The field's path, such as `train.candidates[0].trainer`; empty for the file as a whole."""
    message: str
    line: int | None = dataclasses.field(default=None, compare=False)
    """The line of the field in the file, counted from 1."""

    def __str__(self) -> str:
        """Say it in one line."""
        return ": ".join(part for part in (self.file, self.field, self.message) if part)


def path_text(place: Sequence[str | int]) -> str:
    """Write a field's path the way one would in code: `train.candidates[0].trainer`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the known name closest to a wrong one, else nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
