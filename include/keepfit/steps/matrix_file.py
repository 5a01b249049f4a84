"""The file of a replay's matrix."""

import json
from pathlib import Path
from typing import Any

from keepfit.errors import ReplayError
from keepfit.policy import Cell, Matrix, Signals
from keepfit.spec import Window

FORMAT = 1


def write_matrix(matrix: Matrix, path: Path) -> None:
    """Write a matrix as JSON; `read_matrix` reads it back."""
    told = {
        "format": FORMAT,
        "model": matrix.model,
        "objective": matrix.objective,
        "kind": matrix.kind,
        "windows": [window.key for window in matrix.windows],
        "cells": [
            [cut, window, cell.loss, cell.signals.to_json()] for (cut, window), cell in matrix.cells.items()
        ],
        "passes": [[champion, challenger, told] for (champion, challenger), told in matrix.passes.items()],
    }
    path.write_text(json.dumps(told, allow_nan=False, separators=(",", ":")), encoding="utf-8")


def read_matrix(path: Path) -> Matrix:
    """Read what `write_matrix` wrote.

    Raises:
        ReplayError: The file is no matrix, or one of another version of keepfit.
    """
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written = stored["format"]
    except (ValueError, KeyError, TypeError):
        raise ReplayError(f"{path} holds no matrix of a replay. Replay the model again.") from None
    if written != FORMAT:
        raise ReplayError(
            f"{path} is a matrix of format {written}, and this keepfit reads {FORMAT}. "
            "Replay the model again."
        )
    return Matrix(
        model=stored["model"],
        objective=stored["objective"],
        windows=tuple(map(Window.of_key, stored["windows"])),
        cells={
            (cut, window): Cell(Signals.of_json(signals), loss)
            for cut, window, loss, signals in stored["cells"]
        },
        passes={(champion, challenger): told for champion, challenger, told in stored["passes"]},
        kind=stored["kind"],
    )
