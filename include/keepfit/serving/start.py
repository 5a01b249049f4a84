"""Starts the workers. The only door to uvicorn."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import psutil

from keepfit.errors import SpecError
from keepfit.serving.environment import COPIES, MODELS, ROOT, SETTINGS, SEVERAL
from keepfit.spec import Project, ServingSpec
from keepfit.spec.serving import TOKEN

_DRAIN_SECONDS = 30
_METRICS = ".metrics-"


def serve(project: Project, names: Sequence[str], settings: ServingSpec, worker: str) -> None:
    """Serve models until a signal comes; requests that are under way then are answered.

    Each process makes its app by `worker`, a function named as `module:function`.

    Raises:
        SpecError: Others than this machine could ask, and nobody said that they may.
    """
    refuse_open(settings, os.environ.get(TOKEN))
    import uvicorn

    os.environ[ROOT] = str(project.root)
    os.environ[MODELS] = json.dumps(list(names))
    os.environ[SETTINGS] = settings.model_dump_json()
    # MLflow would try for minutes; whoever is live goes on serving meanwhile.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # Whoever has imported Feast has it set, and Prometheus' client, once imported, stays as it found it.
    imported = "prometheus_client" in sys.modules
    if not imported:
        os.environ.pop(SEVERAL, None)
    if settings.workers > 1 or (imported and SEVERAL not in os.environ):
        _share_numbers(project)
    # uvicorn hands a signal on once all is answered: what the caller holds has to be let go then, too.
    signal.signal(signal.SIGTERM, _leave)
    uvicorn.run(
        worker,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)


def refuse_open(settings: ServingSpec, token: str | None) -> None:
    """Refuse to listen beyond this machine without a token."""
    if not (settings.loopback or token or settings.open_to_all):
        raise SpecError(
            f"serving.host is {settings.host}: everybody who reaches this machine could ask. "
            f"Set {TOKEN} in the environment, or `serving.open_to_all: true` in feature_repo/keepfit.yaml."
        )


def _share_numbers(project: Project) -> None:
    """Let the workers put their metrics together: whichever of them is asked answers for all."""
    copies = project.locations.home / COPIES
    for old in copies.glob(f"{_METRICS}*"):
        if not psutil.pid_exists(int(old.name.removeprefix(_METRICS))):
            shutil.rmtree(old, ignore_errors=True)
    folder = copies / f"{_METRICS}{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    os.environ[SEVERAL] = str(folder)
