"""Where a registry is: in a database or behind a server."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from keepfit.backends.lock import alone
from keepfit.backends.model_registry.quiet import MlflowException, tables_as_they_are, told


@dataclass(frozen=True)
class Place:
    """A registry's address; nothing of it is open."""

    uri: str
    artifacts: Path
    """Where files lie if the registry is a database, and where those of a server are kept."""

    @property
    def served(self) -> bool:
        """Whether a server has it."""
        return self.uri.startswith("http")

    def client(self) -> MlflowClient:
        """Open it."""
        with tables_as_they_are():
            return MlflowClient(self.uri, self.uri)

    def lock(self, name: str) -> Path:
        """Name a file to be alone with."""
        return self.artifacts / ".locks" / name


def make_database(place: Place) -> None:
    """Create or upgrade the database, once, however many start at the same time."""
    if place.served:
        return
    with alone(place.lock("initialise")):
        from mlflow.db import upgrade

        with told("The model registry's database cannot be created or upgraded"):
            if place.uri.startswith("sqlite:///"):
                _use_write_ahead_log(Path(place.uri.removeprefix("sqlite:///")))
            with tables_as_they_are():
                upgrade.callback(place.uri)
            place.client().search_experiments(max_results=1)


def has_version(place: Place, model: str, version: str) -> bool:
    """Tell whether there is such a version."""
    try:
        place.client().get_model_version(model, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def _use_write_ahead_log(file: Path) -> None:
    """Halve the time writers wait for each other; the setting stays with the file."""
    import sqlite3

    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
