"""Asks Airflow, MLflow and the prediction server whether they are well."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.request import ProxyHandler, build_opener

from keepfit.embedded.ports import Ports
from keepfit.embedded.status import SERVING

_TIMEOUT = 3.0
_direct = build_opener(ProxyHandler({}))
"""Never through a proxy: the servers listen on loopback."""
_BEATS = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}
"""Which component answers for which entry of Airflow's own report."""


def health(ports: Ports) -> dict[str, float | None]:
    """Tell when each component was last seen well, None if it is not; silent if Airflow's API is.

    A component's last sign of life may be that of another process, which has died since.
    """
    now = time.time()
    answer = _get(f"{ports.airflow_url}/api/v2/monitor/health")
    mlflow = _get(f"{ports.mlflow_url}/health") == "OK"
    serving = _get(f"{ports.serving_url}/live")
    seen = {"mlflow": now if mlflow else None, "api-server": None, SERVING: now if serving else None}
    if not answer:
        return seen
    report: dict[str, dict[str, Any]] = json.loads(answer)
    well = report["metadatabase"]["status"] == "healthy"
    beats = {name: _last_beat(entry, report.get(entry) or {}) for name, entry in _BEATS.items()}
    return seen | {"api-server": now if well else None} | beats


def _last_beat(entry: str, told: Mapping[str, Any]) -> float | None:
    if told.get("status") != "healthy":
        return None
    return datetime.fromisoformat(told[f"latest_{entry}_heartbeat"]).timestamp()


def _get(url: str) -> str:
    with suppress(OSError), _direct.open(url, timeout=_TIMEOUT) as answer:
        return str(answer.read().decode())
    return ""
