"""What a deferred sensor waits for in the triggerer, without holding a worker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from keepfit.airflow.specs import load_locations
from keepfit.spec import Window


class PublicationTrigger(BaseTrigger):
    """Fires when a dataset's publications cover a window.

    It is given the project's root, not the ledger's URL: that may hold a password, and a trigger's
    arguments are stored in Airflow's database.
    """

    def __init__(self, root: str, dataset: str, window: str, poll_interval: float) -> None:
        """Take plain values only: the triggerer rebuilds the trigger from them."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.root = root
        self.dataset = dataset
        self.window = window
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Say how to rebuild this trigger."""
        values = {
            "root": self.root,
            "dataset": self.dataset,
            "window": self.window,
            "poll_interval": self.poll_interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", values

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask the ledger now and then, off the event loop."""
        while not await asyncio.to_thread(is_published, self.root, self.dataset, self.window):
            await asyncio.sleep(self.poll_interval)
        yield TriggerEvent({"window": self.window})  # type: ignore[no-untyped-call]


def is_published(root: str, dataset: str, window: str) -> bool:
    """Tell whether a dataset's publications cover a window, named by its key."""
    from keepfit.ledger import Ledger

    return Ledger(load_locations(Path(root)).ledger_url).covers(dataset, Window.of_key(window))
