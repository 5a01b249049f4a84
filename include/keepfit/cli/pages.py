"""Pages that a command puts where it is told to."""

import shutil
from pathlib import Path

from keepfit.errors import ConfError


def put_page(page: Path, at: Path) -> None:
    """Copy a page to a file, whose folder is made if need be.

    Raises:
        ConfError: Nothing can be written there.
    """
    try:
        at.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, at)
    except OSError as error:
        raise ConfError(
            f"The page cannot be written to {at}: {error.strerror}. Name a file in a folder of yours, or "
            f"take it from {page}."
        ) from None
