"""Connections for runs outside Airflow."""

import os
from typing import Any

from keepfit.plugins import Access
from keepfit.spec import Locations


def local_access(locations: Locations) -> Access:
    """Look connections up as Airflow does: `AIRFLOW_CONN_<ID>` in the environment, or its secrets backend.

    Airflow is imported by the first dataset that has a connection.
    """

    def airflow() -> Access:
        from keepfit.airflow.access import airflow_access

        return airflow_access()

    def url(connection: str) -> str:
        return airflow().url(connection)

    def storage(connection: str | None) -> dict[str, Any]:
        return airflow().storage(connection) if connection else {}

    # Importing Airflow makes folders in its home, by default under the user's own.
    os.environ.setdefault("AIRFLOW_HOME", str(locations.home / "airflow"))
    return Access(url, storage)
