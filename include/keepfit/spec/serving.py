"""The `serving` block of `feature_repo/keepfit.yaml`: how `keepfit serve` answers requests."""

import os
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from keepfit.spec.fields import Closed, Name

LOOPBACK = ("127.0.0.1", "::1", "localhost")
TOKEN = "KEEPFIT_SERVING_TOKEN"  # noqa: S105 - the variable's name
"""The environment variable that holds the token; it is never written into a file."""

SERVERS = "KEEPFIT_SERVERS"
"""The environment variable that holds the servers' addresses where the file names none."""


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError(f"{value!r} is no URL. Write it whole, such as http://127.0.0.1:8090")
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class ServingSpec(Closed):
    """One-row and batch predictions over HTTP."""

    host: str = "127.0.0.1"
    """The address to listen on. Any but this machine's own needs a token in KEEPFIT_SERVING_TOKEN."""
    port: Port = 8090
    """The port to listen on; 0 takes a free one."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that answer requests; each loads the models itself."""
    models: tuple[Name, ...] = ()
    """The models to serve; all when not given."""
    urls: tuple[Url, ...] = ()
    """Running servers that a release is verified against: each has to answer with the new version."""
    release_seconds: Seconds = 60.0
    """How long a release waits for them to do so before it counts as failed."""
    open_to_all: bool = False
    """Listen beyond this machine without a token, for example behind a gateway that asks for one."""
    poll_seconds: Seconds = 5.0
    """How often each worker asks the registry which versions are live."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1_073_741_824)] = 1_048_576
    """A longer request is refused before it is read."""
    max_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """The most rows of one request."""
    timeout_seconds: Seconds = 5.0
    """The longest a request waits for the online store, or for a model that is slow."""
    unknown_entities: Literal["refuse", "missing"] = "refuse"
    """What becomes of a row whose entity the online store does not know: `refuse` answers 404,
    `missing` predicts without its features, as a batch prediction does."""
    log: bool = True
    """Keep a prediction log: what was asked, which features were used, what was answered."""
    log_seconds: Seconds = 1.0
    """How long an answer waits to be logged. It is lost when its worker is killed before it is written."""
    log_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """So many logged answers are written at once, however young they are."""
    shadow_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Rows that wait, at most, to be scored by a challenger in shadow; more are dropped and counted."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise ValueError("`models` names one twice. Name each once")
        return self

    @property
    def servers(self) -> tuple[str, ...]:
        """Return the running servers: those of the file, else the one that `keepfit up` started."""
        return self.urls or tuple(filter(None, os.environ.get(SERVERS, "").split(",")))

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can reach the server."""
        return self.host in LOOPBACK or self.host.startswith("127.")
