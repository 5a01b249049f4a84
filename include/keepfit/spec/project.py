"""`feature_repo/keepfit.yaml`: what holds for the whole project, and where its stores lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from keepfit.spec.fields import Closed, Cron, Name
from keepfit.spec.fleet import FleetSpec
from keepfit.spec.serving import ServingSpec


class EngineSpec(Closed):
    """Bounds on the SQL engine of one task."""

    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?(MB|GB)$")] = "2GB"
    threads: Annotated[int, Field(ge=1, le=256)] = 2


class ProjectSpec(Closed):
    """The project: its name, its state's home and its databases."""

    project: Name
    """Also Feast's project name in `feature_store.yaml`."""
    home: str = ".keepfit"
    """Where databases, published data, runs and logs lie, relative to the project's root. Not in git."""
    database: Literal["embedded", "sqlite", "external"] = "embedded"
    """`embedded`: a PostgreSQL that `keepfit up` owns. `sqlite`: for one light user.
    `external`: the URLs are in the environment (`keepfit env` lists their names)."""
    lake: str | None = None
    """Where datasets are published: a path relative to the project's root. `<home>/lake` when not given."""
    engine: EngineSpec = Field(default_factory=EngineSpec)
    sweep: Cron = "@daily"
    """How often all features are checked: their age, and a sample of what is served online."""
    slots: Annotated[int, Field(ge=1, le=512)] = 4
    """How many tasks the embedded Airflow runs at once."""
    serving: ServingSpec = Field(default_factory=ServingSpec)
    fleet: FleetSpec = Field(default_factory=FleetSpec)


@dataclass(frozen=True)
class Locations:
    """Where a project's stores are, resolved from its spec and the environment."""

    root: Path
    home: Path
    lake: Path
    runs: Path
    ledger_url: str
    tracking_uri: str
    artifacts: Path
    feast_registry_url: str
    feast_online_path: Path

    @classmethod
    def resolve(cls, spec: ProjectSpec, root: Path, environ: Mapping[str, str]) -> "Locations":
        """Find a project's stores; each `KEEPFIT_...` variable of the environment wins over its default.

        The defaults of the three databases are SQLite files under the home.
        """
        home = Path(environ.get("KEEPFIT_HOME") or root / spec.home).absolute()
        lake = Path(environ.get("KEEPFIT_LAKE") or (root / spec.lake if spec.lake else home / "lake"))

        def database(variable: str, file: str) -> str:
            return environ.get(variable) or f"sqlite:///{home / file}"

        return cls(
            root=root.absolute(),
            home=home,
            lake=lake.absolute(),
            runs=home / "runs",
            ledger_url=database("KEEPFIT_LEDGER_URL", "ledger.db"),
            tracking_uri=database("KEEPFIT_TRACKING_URI", "mlflow.db"),
            artifacts=home / "artifacts",
            feast_registry_url=database("KEEPFIT_FEAST_REGISTRY", "feast_registry.db"),
            feast_online_path=Path(environ.get("KEEPFIT_FEAST_ONLINE") or home / "feast_online.db"),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that make another process find the same stores."""
        return {
            "KEEPFIT_HOME": str(self.home),
            "KEEPFIT_LAKE": str(self.lake),
            "KEEPFIT_LEDGER_URL": self.ledger_url,
            "KEEPFIT_TRACKING_URI": self.tracking_uri,
            "KEEPFIT_FEAST_REGISTRY": self.feast_registry_url,
            "KEEPFIT_FEAST_ONLINE": str(self.feast_online_path),
        }
