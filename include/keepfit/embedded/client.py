"""A client of Airflow's REST API that never starts a run twice."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

import httpx

from keepfit.errors import EmbeddedError

_DONE = ("success", "failed")
_ATTEMPTS = 8
_SERVER_ERROR = 500


class AirflowClient:
    """Trigger and watch runs by REST; a run id of one's own makes every call safe to repeat."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Log in with a user's password."""
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._login = {"username": user, "password": password}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def unpause(self, dag_id: str, within: float = 120) -> None:
        """Unpause a DAG as soon as Airflow knows it."""
        for _ in _until(within, f"Airflow does not show the DAG {dag_id}"):
            answer = self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
            if answer.status_code == httpx.codes.OK:
                return

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> bool:
        """Start a run; answer False when that run id exists already.

        Raises:
            EmbeddedError: Airflow refused the run; the text is Airflow's.
        """
        body = {"logical_date": None, "dag_run_id": run_id, "conf": dict(conf)}
        answer = self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        if answer.status_code != httpx.codes.OK:
            raise EmbeddedError(f"Airflow refused {run_id} of {dag_id} ({answer.status_code}): {answer.text}")
        return True

    def runs(self, dag_id: str, **query: str | int) -> list[dict[str, Any]]:
        """List a DAG's runs, newest first."""
        params = {"order_by": "-run_after", "limit": 100, **query}
        found: list[dict[str, Any]] = self.get(f"/dags/{dag_id}/dagRuns", params)["dag_runs"]
        return found

    def wait(self, dag_id: str, run_id: str, within: float = 600) -> str:
        """Wait until a run is there and has ended; return its state, `success` or `failed`."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        for _ in _until(within, f"{run_id} of {dag_id} has not ended"):
            answer = self.call("GET", path)
            if answer.status_code == httpx.codes.NOT_FOUND:
                continue
            if (state := str(_json(answer)["state"])) in _DONE:
                return state
        raise AssertionError

    def failure(self, dag_id: str, run_id: str) -> str:
        """Return the failed tasks of a run and the ends of their logs."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        failed = [task for task in self.get(path)["task_instances"] if task["state"] == "failed"]
        return "\n".join(self._log(path, task) for task in failed) or "no task has failed"

    def _log(self, path: str, task: Mapping[str, Any]) -> str:
        try_number, index = max(task["try_number"], 1), task["map_index"]
        answer = self.get(f"{path}/{task['task_id']}/logs/{try_number}", {"map_index": index})
        lines = [_line(each) for each in answer["content"] if isinstance(each, dict)]
        errors = [
            str(line["error_detail"])
            for line in answer["content"]
            if isinstance(line, dict) and line.get("error_detail")
        ]
        return "\n".join([f"--- {task['task_id']}", *lines[-25:], *errors[-1:]])

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """Read a resource of the API."""
        return _json(self.call("GET", path, params=dict(params or {})))

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the API; a lost connection or a server error is tried again, a lost token renewed."""
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._http.request(method, f"/api/v2{path}", **options)
            except httpx.TransportError:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                if answer.status_code == httpx.codes.UNAUTHORIZED:
                    self._authorise()
                elif answer.status_code < _SERVER_ERROR:
                    return answer
            time.sleep(0.2 * 2**attempt)
        return answer

    def _authorise(self) -> None:
        answer = self._http.post("/auth/token", json=self._login)
        if answer.is_error:
            raise EmbeddedError(f"Airflow refused the login of {self._login['username']}: {answer.text}")
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _line(entry: Mapping[str, Any]) -> str:
    """Write a log entry as text: its event, and for an error its type and message."""
    errors = [f"{each['exc_type']}: {each['exc_value']}" for each in entry.get("error_detail") or ()]
    return "\n".join([str(entry.get("event", "")), *errors])


def _json(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        raise EmbeddedError(f"Airflow answered {answer.status_code} to {answer.url.path}: {answer.text}")
    result: dict[str, Any] = answer.json()
    return result


def _until(seconds: float, complaint: str, every: float = 0.5) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(every)
    raise EmbeddedError(f"{complaint} after {seconds:.0f} s. Its tasks and logs are in the Airflow UI.")
