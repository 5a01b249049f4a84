"""Has a running Airflow read a project's DAG file at once, not at its next round."""

from pathlib import Path

import httpx

from keepfit.embedded.client import AirflowClient
from keepfit.embedded.supervisor import status
from keepfit.errors import EmbeddedError


def reparse(root: Path, dag_id: str) -> bool:
    """Ask the project's embedded Airflow to parse the file of a DAG; tell whether it was asked.

    It is not where none runs, and where it does not answer or know the DAG: its next round comes anyway.
    """
    now = status(root)
    if now.phase != "up" or now.airflow_url is None:
        return False
    try:
        with AirflowClient(now.airflow_url, now.user, now.password) as airflow:
            token = airflow.get(f"/dags/{dag_id}/details")["file_token"]
            answer = airflow.call("PUT", f"/parseDagFile/{token}")
    except (EmbeddedError, httpx.HTTPError):
        return False
    # Who asks again before the file is parsed is told of a conflict.
    return answer.status_code in (httpx.codes.CREATED, httpx.codes.CONFLICT)
