"""What is answered."""

import msgspec
from msgspec import UNSET, UnsetType


class Prediction(msgspec.Struct, omit_defaults=True):
    """One row's answer."""

    score: float
    """The probability of the positive class, or the value."""
    version: str
    role: str
    """Whose answer it is: `champion` or `challenger`."""
    positive: bool | UnsetType = UNSET
    """For a classification: whether the score reaches the model's threshold."""


class Answer(msgspec.Struct, omit_defaults=True):
    """The answer to one row."""

    model: str
    request_id: str
    score: float
    version: str
    role: str
    positive: bool | UnsetType = UNSET


class Answers(msgspec.Struct):
    """The answers to many rows, in their order."""

    model: str
    request_id: str
    predictions: list[Prediction]


class Refusal(msgspec.Struct):
    """Why a request is not answered."""

    detail: str
    fields: list[str]
    """What of the request is wrong, by its path."""
    request_id: str | None
