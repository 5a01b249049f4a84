"""Makes a project's databases available to this process and to those it starts."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from keepfit.embedded.postgres import Postgres
from keepfit.embedded.prepare import prepare
from keepfit.errors import EmbeddedError
from keepfit.spec import Locations, Project
from keepfit.spec.database_url import store_problem

DATABASES: Mapping[str, str] = {
    "KEEPFIT_LEDGER_URL": "ledger",
    "KEEPFIT_TRACKING_URI": "mlflow",
    "KEEPFIT_FEAST_REGISTRY": "feast",
}
"""Which variable names which database of the embedded PostgreSQL."""
AIRFLOW_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


@dataclass(frozen=True)
class Databases:
    """Where a project's databases are."""

    locations: Locations
    airflow_url: str
    postgres: Postgres | None
    """The server, where it is the project's own."""


@contextmanager
def stores(project: Project) -> Iterator[Locations]:
    """Make a project's stores ready for use in the block: databases reachable, tables present.

    Raises:
        EmbeddedError: A database cannot be started, or its URL is not given, or cannot be used.
    """
    with databases(project) as found:
        prepare(project)
        yield found.locations


@contextmanager
def databases(project: Project, *, airflow: bool = False) -> Iterator[Databases]:
    """Make a project's databases reachable in the block, and point `KEEPFIT_...` of the environment at them.

    A variable that is set already wins. With `airflow`, a database for Airflow is needed too.
    """
    if project.spec.database == "external":
        _need_all((*DATABASES, AIRFLOW_DATABASE) if airflow else tuple(DATABASES))
        airflow_url = os.environ.get(AIRFLOW_DATABASE, "")
        if airflow:
            _refuse_unusable({AIRFLOW_DATABASE: airflow_url})
        with _environment({}, project):
            yield Databases(project.locations, airflow_url, None)
        return
    if project.spec.database == "sqlite":
        with _environment({}, project):
            yield Databases(project.locations, f"sqlite:///{project.locations.home / 'airflow.db'}", None)
        return
    postgres = Postgres(project.locations.home)
    with postgres.used():
        postgres.create(("airflow", *DATABASES.values()))
        urls = {name: postgres.url(database) for name, database in DATABASES.items()}
        with _environment(urls, project):
            yield Databases(project.locations, postgres.url("airflow"), postgres)


@contextmanager
def _environment(defaults: Mapping[str, str], project: Project) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update({name: value for name, value in defaults.items() if not before.get(name)})
    ours = project.locations.environment()
    os.environ.update(ours)
    try:
        _refuse_unusable({name: ours[name] for name in DATABASES})
        yield
    finally:
        for name in ours:
            os.environ.pop(name)
            if name in before:
                os.environ[name] = before[name]


def _refuse_unusable(urls: Mapping[str, str]) -> None:
    problems = [f"{name} {problem}" for name, url in urls.items() if (problem := store_problem(url))]
    if problems:
        raise EmbeddedError("\n".join(problems))


def _need_all(names: Collection[str]) -> None:
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise EmbeddedError(
            f"`database: external` in feature_repo/keepfit.yaml, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set in the environment. "
            "Set each to a SQLAlchemy URL such as postgresql+psycopg2://user:password@host/database."
        )
