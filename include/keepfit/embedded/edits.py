"""Notices that the files a prediction server has read were edited since."""

from contextlib import suppress
from pathlib import Path

from keepfit.errors import KeepfitError
from keepfit.spec import load_project
from keepfit.spec.load import FEATURE_REPO

_READ = ("keepfit.yaml", "models/*.y*ml", "datasets/*.y*ml")


class Edits:
    """The edits of a project since one last looked."""

    def __init__(self, root: Path) -> None:
        """Look for the first time."""
        self._root = root
        self._seen = self._look()

    def are_new(self) -> bool:
        """Tell whether there are edits since the last time, and the project is sound with them."""
        found = self._look()
        if found == self._seen:
            return False
        self._seen = found
        try:
            return not load_project(self._root).problems
        except KeepfitError:
            return False

    def _look(self) -> dict[Path, tuple[int, int]]:
        seen = {}
        for file in (file for each in _READ for file in (self._root / FEATURE_REPO).glob(each)):
            # An editor may replace it just now.
            with suppress(FileNotFoundError):
                found = file.stat()
                seen[file] = (found.st_mtime_ns, found.st_size)
        return seen
