"""The folder of one run: results are stored by rename, so a half-done step is never visible."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import hexdigits
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from keepfit.backends.lock import if_dead, sign_of_life
from keepfit.errors import ConfError, NotReadyError

_TOKEN = 8


class RunFolder:
    """One run's folder. Retrying a step replaces its results whole."""

    def __init__(self, path: Path) -> None:
        """Refer to a run's folder, which need not exist yet."""
        self.path = path

    @classmethod
    def of(cls, runs: Path, dag_id: str, run_id: str) -> "RunFolder":
        """Name the folder of a run; no two ids share one, since their unsafe characters are quoted.

        Raises:
            ConfError: The id names no folder.
        """
        if run_id in ("", ".", ".."):
            raise ConfError(
                f"{run_id!r} as a run id of {dag_id} names no folder under {runs}. Give the run another id."
            )
        return cls(runs / dag_id / quote(run_id, safe="-_+~."))

    def write(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Store a step's small result as JSON and return it."""
        with self.staged(f"{name}.json") as path:
            path.write_text(json.dumps(payload, indent=1, sort_keys=True, default=str))
        return payload

    def read(self, name: str) -> dict[str, Any]:
        """Return what a step stored with `write`.

        Raises:
            NotReadyError: The step has not run in this run.
        """
        path = self.path / f"{name}.json"
        if not path.exists():
            raise NotReadyError(
                f"{path} is missing: the step {name!r} has not finished in this run. Run it first."
            )
        result: dict[str, Any] = json.loads(path.read_text())
        return result

    def has(self, name: str) -> bool:
        """Tell whether a step has stored its result."""
        return (self.path / f"{name}.json").exists()

    def file(self, name: str) -> Path:
        """Name a finished file of this run."""
        return self.path / name

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """Lend a path to write a file or folder to; it gets its name when the block ends well."""
        with self._passing(name) as staging:
            yield staging
            target = self.path / name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(staging, target)

    @contextmanager
    def optional(self, name: str) -> Iterator[Path]:
        """Lend a path as `staged` does; if nothing is written there, what had the name stays."""
        with self._passing(name) as staging:
            yield staging
            if staging.exists():
                os.replace(staging, self.path / name)

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Lend an empty folder that goes when the block ends."""
        with self._passing(f"scratch-{name}") as path:
            path.mkdir()
            yield path

    @contextmanager
    def _passing(self, name: str) -> Iterator[Path]:
        """Lend a path that is not there yet, and remove what is left of it, also of a try that was killed."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._sweep(name)
        path = self.path / f".{name}.{uuid4().hex[:_TOKEN]}"
        with sign_of_life(_lock_of(path)):
            try:
                yield path
            finally:
                _remove(path)

    def _sweep(self, name: str) -> None:
        """Remove what killed processes have left; what a living one writes stays."""
        mark = f".{name}."
        left = {each.removesuffix(".lock") for each in os.listdir(self.path) if each.startswith(mark)}  # noqa: PTH208, a tenth of the time
        for each in left:
            if not _is_token(each.removeprefix(mark)):
                continue
            with if_dead(_lock_of(self.path / each)) as dead:
                if dead:
                    _remove(self.path / each)


def _is_token(text: str) -> bool:
    return len(text) == _TOKEN and set(text) <= set(hexdigits)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
