"""The `serving` block of `feature_repo/keepfit.yaml`: how `keepfit serve` answers requests."""

import os
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from keepfit.spec.fields import Closed, Name

LOOPBACK = ("127.0.0.1", "::1", "localhost")
TOKEN = "KEEPFIT_SERVING_TOKEN"  # noqa: S105 - the variable's name
"""The environment variable that holds the token; it is never written into a file."""

SERVERS = "KEEPFIT_SERVERS"
"""The environment variable that holds the servers' addresses where the file names none."""

_S3 = "s3://"
_S3_PLACE = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*/?", re.ASCII)


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError(f"{value!r} is no URL. Write it whole, such as http://127.0.0.1:8090")
    return value.rstrip("/")


def _log_place(value: str) -> str:
    if "://" not in value and value.strip():
        return value
    if not _S3_PLACE.fullmatch(value):
        # The value is not repeated: somebody may have put credentials into it.
        raise ValueError(
            "is no place for the log. Write a bucket with a folder in it, such as s3://bucket/folder, or a "
            "path relative to the project's root; credentials belong into `log_connection` or the environment"
        )
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]
LogTo = Annotated[str, AfterValidator(_log_place)]
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
    log_to: LogTo | None = None
    """Where the prediction log lies: a path relative to the project's root, or `s3://bucket/folder`. The lake
    when not given. `keepfit__sweep` and the monitors look for it there, too."""
    log_connection: str | None = None
    """The Airflow connection, of type `aws`, for a log on S3; the machine's credentials when not given."""
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

    @model_validator(mode="after")
    def _connection_has_a_use(self) -> Self:
        if self.log_connection and not (self.log_to or "").startswith(_S3):
            raise ValueError(
                "`log_connection` is for a log on S3. Set `log_to: s3://bucket/folder`, or leave it out"
            )
        return self

    @property
    def servers(self) -> tuple[str, ...]:
        """Return the running servers: those of the file, else the one that `keepfit up` started."""
        return self.urls or tuple(filter(None, os.environ.get(SERVERS, "").split(",")))

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can reach the server."""
        return self.host in LOOPBACK or self.host.startswith("127.")
