"""The OpenAPI of the service, true to what is read and answered: both come from the same structs."""

from typing import Any

import msgspec

from keepfit.serving.answer import Answer, Answers, Refusal
from keepfit.serving.question import Question

_REF = "#/components/schemas/{name}"
_REFUSALS = {
    "400": "The body is no JSON, or X-Request-ID has signs it may not have.",
    "401": "The token is missing or wrong, where the server asks for one.",
    "404": "The model is not served, or an entity is unknown to the online store.",
    "408": "The body did not arrive in time.",
    "413": "The body, or the number of rows, is above the server's limit.",
    "422": "A feature, a key or a field is missing, unknown or of a wrong type.",
    "500": "The model or an on-demand view failed.",
    "503": "No version is loaded yet, the online store is away, or the server is too busy.",
}
_MODELS = {
    "type": "object",
    "required": ["worker", "workers", "models"],
    "properties": {
        "worker": {"type": "integer", "description": "The process that answers; each loads for itself."},
        "workers": {"type": "integer", "description": "How many processes the server runs with."},
        "models": {"type": "array", "items": {"type": "object", "required": ["name", "champion"]}},
    },
}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Names the request in the answer and in the prediction log; made up when not given.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"},
}


def describe(app: Any, *, token: bool) -> None:
    """Put what FastAPI cannot see into the app's OpenAPI."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            _complete(plain(), token=token)
        schema: dict[str, Any] = app.openapi_schema
        return schema

    app.openapi = openapi


def _complete(schema: dict[str, Any], *, token: bool) -> None:
    _, structs = msgspec.json.schema_components([Question, Answer, Answers, Refusal], ref_template=_REF)
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update(structs)
    predict = schema["paths"]["/models/{name}/predict"]["post"]
    predict["parameters"] = [_NAME, _ID]
    predict["requestBody"] = {"required": True, "content": _json(_ref("Question"))}
    predict["responses"] = {
        "200": {
            "description": "An answer; with `rows`, the answers in their order.",
            "content": _json({"anyOf": [_ref("Answer"), _ref("Answers")]}),
        },
        **{status: _refusal(status) for status in _REFUSALS},
    }
    schema["paths"]["/models"]["get"]["responses"]["200"]["content"] = _json(_MODELS)
    one = schema["paths"]["/models/{name}"]["get"]
    one["parameters"] = [_NAME]
    one["responses"]["404"] = _refusal("404")
    schema["paths"]["/ready"]["get"]["responses"]["503"] = {
        "description": "A model has no champion loaded yet."
    }
    metrics = schema["paths"]["/metrics"]["get"]["responses"]["200"]
    metrics["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        for path in ("/live", "/ready"):
            schema["paths"][path]["get"]["security"] = []


def _refusal(status: str) -> dict[str, Any]:
    return {"description": _REFUSALS[status], "content": _json(_ref("Refusal"))}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
