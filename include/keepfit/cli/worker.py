"""What each process of `keepfit serve` begins with."""

from typing import TYPE_CHECKING

from keepfit.cli.access import local_access

if TYPE_CHECKING:
    from fastapi import FastAPI

WORKER = f"{__name__}:create"


def create() -> "FastAPI":
    """Make the app, which finds connections as every command does."""
    from keepfit.serving import app

    return app.create(local_access)
