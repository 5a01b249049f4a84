"""The HTTP side: routes, their statuses and their OpenAPI. The only module that imports FastAPI."""

import json
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
from fastapi import FastAPI, Request, Response

from keepfit.plugins import Access
from keepfit.serving.answer import Answer, Answers, Prediction, Refusal
from keepfit.serving.body import read_body
from keepfit.serving.door import Door
from keepfit.serving.environment import MODELS, ROOT, SETTINGS
from keepfit.serving.listing import described, listed
from keepfit.serving.meters import CONTENT_TYPE
from keepfit.serving.openapi import describe
from keepfit.serving.question import read_question
from keepfit.serving.refused import RefusedError
from keepfit.serving.service import Service
from keepfit.spec import Locations, Project, ServingSpec, load_project
from keepfit.spec.serving import TOKEN

_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_JSON = "application/json"
_NOT_READY = 503
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


def create(access: Callable[[Locations], Access]) -> FastAPI:
    """Make the app of a worker, as its environment says; `access` looks connections up."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("keepfit").setLevel(logging.INFO)
    project = load_project(Path(os.environ[ROOT]))
    settings = ServingSpec.model_validate_json(os.environ[SETTINGS])
    project = replace(project, spec=project.spec.model_copy(update={"serving": settings}))
    return build(project, json.loads(os.environ[MODELS]), os.environ.get(TOKEN), access(project.locations))


def build(project: Project, names: list[str], token: str | None, access: Access) -> FastAPI:
    """Make the app that serves some of a project's models."""
    service = Service(project, names, access)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.close()

    app = FastAPI(title=f"{project.spec.project}: predictions", lifespan=lifespan)
    if token:
        app.add_middleware(Door, token=token)
    routes = _Routes(service)
    app.post("/models/{name}/predict")(routes.predict)
    app.get("/models")(routes.models)
    app.get("/models/{name}")(routes.model)
    app.get("/live")(routes.live)
    app.get("/ready")(routes.ready)
    app.get("/metrics")(routes.metrics)
    describe(app, token=bool(token))
    return app


class _Routes:
    """What each route answers. Plain requests and responses: FastAPI's own reading of both costs a third."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.settings

    async def predict(self, request: Request) -> Response:
        """Predict one row, or each of `rows`."""
        began = time.perf_counter()
        name = request.path_params["name"]
        given = request.headers.get("x-request-id")
        request_id = given or os.urandom(16).hex()
        try:
            _check_id(given)
            model = self._service.find(name)
            question = read_question(
                await read_body(request, self._settings.max_body_bytes, self._settings.timeout_seconds),
                self._settings.max_rows,
            )
            response = _answered(
                name,
                request_id,
                await model.answer(question.rows or [question], request_id),
                question.rows is None,
            )
        except RefusedError as refused:
            response = _refused(refused, request_id)
        except Exception:  # noqa: BLE001 - whatever a model comes up with, there is an answer
            _log.exception("Request %s for %s failed.", request_id, name)
            response = _refused(RefusedError(500, f"{name} failed; the server's log tells why."), request_id)
        known = name if name in self._service.models else "unknown"
        self._service.meters.done(known, response.status_code, time.perf_counter() - began)
        return response

    async def models(self) -> Response:
        """Tell which versions of which models answer, and what is wrong."""
        return Response(_encode(listed(self._service)), media_type=_JSON)

    async def model(self, request: Request) -> Response:
        """Tell what a model wants to be given."""
        try:
            return Response(
                _encode(described(self._service.find(request.path_params["name"]))), media_type=_JSON
            )
        except RefusedError as refused:
            return _refused(refused, None)

    async def live(self) -> Response:
        """Tell that the process is alive."""
        return Response(_encode({"live": True}), media_type=_JSON)

    async def ready(self) -> Response:
        """Tell whether a champion of every served model is loaded."""
        waiting = self._service.waiting_for
        content = {"ready": not waiting, "waiting_for": waiting}
        return Response(_encode(content), _NOT_READY if waiting else 200, media_type=_JSON)

    async def metrics(self) -> Response:
        """Tell Prometheus."""
        return Response(self._service.told(), media_type=CONTENT_TYPE)


def _check_id(given: str | None) -> None:
    if given is not None and not _REQUEST_ID.fullmatch(given):
        raise RefusedError(
            400,
            "X-Request-ID may have 1 to 128 letters, digits and any of . _ : - in it.",
            ["X-Request-ID"],
        )


def _answered(name: str, request_id: str, found: list[Prediction], single: bool) -> Response:
    if single:
        one = found[0]
        answer: Answer | Answers = Answer(name, request_id, one.score, one.version, one.role, one.positive)
    else:
        answer = Answers(name, request_id, found)
    return Response(_encode(answer), headers={"X-Request-ID": request_id}, media_type=_JSON)


def _refused(refused: RefusedError, request_id: str | None) -> Response:
    headers = {"X-Request-ID": request_id} if request_id and _REQUEST_ID.fullmatch(request_id) else {}
    if refused.status in (400, 408, 413):
        headers["Connection"] = "close"
    if refused.status == _NOT_READY:
        headers["Retry-After"] = "1"
    body = _encode(Refusal(refused.detail, list(refused.fields), request_id))
    return Response(body, refused.status, headers, _JSON)
