"""Text files under `feature_repo/`: what they hold, or why they cannot be read."""

from pathlib import Path

from keepfit.errors import SpecError


def read_text(repo: Path, file: str) -> str:
    """Return what a file under a `feature_repo/` holds.

    Raises:
        SpecError: It cannot be read, or is not UTF-8.
    """
    try:
        return (repo / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{file} {unreadable(error)}") from None


def text_problem(path: Path) -> str | None:
    """Say why a file cannot be read, if it cannot."""
    try:
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return unreadable(error)
    return None


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Say in words why a file cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8 text (byte {error.start}). Save it as UTF-8."
    return f"cannot be read: {error.strerror or error}."
