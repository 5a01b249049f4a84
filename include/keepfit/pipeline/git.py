"""Which commit a project is at."""

import shutil
import subprocess
from pathlib import Path


def commit_of(root: Path) -> str | None:
    """Return the commit checked out, with `-dirty` if files differ from it; None outside of git."""
    git = shutil.which("git")
    if git is None:
        return None
    asked = [git, "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    return told.stdout.strip() or None
