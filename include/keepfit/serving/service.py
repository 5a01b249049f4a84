"""The service: its models, the thread that keeps them as registry and ledger want, and its end."""

import asyncio
import logging
import random
import threading
from collections.abc import Mapping, Sequence

from keepfit.backends.lake import Lake
from keepfit.errors import KeepfitError, LedgerError
from keepfit.pipeline.held import as_applied
from keepfit.pipeline.log_to import log_to
from keepfit.plugins import Access
from keepfit.serving.copies import Copies
from keepfit.serving.environment import COPIES
from keepfit.serving.keeper import Keeper
from keepfit.serving.logs import Logs
from keepfit.serving.lookup import OnlineLookUp
from keepfit.serving.meters import Meters
from keepfit.serving.refused import RefusedError
from keepfit.serving.served import ServedModel
from keepfit.serving.shadow import Shadow
from keepfit.serving.wanted import Pointers
from keepfit.spec import ModelSpec, Project
from keepfit.spec.problem import did_you_mean

_LAST_LOOK = 5.0
_FIRST_LOOK = 60.0
"""Seconds after which a worker takes requests although a database has not answered."""
_log = logging.getLogger(__name__)


class Service:
    """Everything one worker serves."""

    def __init__(self, project: Project, names: Sequence[str], access: Access) -> None:
        """Prepare models to be served; nothing is loaded yet. A log on S3 is reached by `access`."""
        self.project = project
        self.settings = project.spec.serving
        self.meters = Meters()
        self._log_to = log_to(self.settings, project.locations, access)
        specs = {name: _spec(project, name) for name in names}
        self._shadows = {name: Shadow(name, self.settings.shadow_rows, self.meters) for name in names}
        self.models: Mapping[str, ServedModel] = {
            name: ServedModel(
                specs[name],
                OnlineLookUp(project, specs[name], self.meters),
                self._shadows[name],
                self.meters,
            )
            for name in names
        }
        self._logs = {name: self._logs_of(specs[name], served) for name, served in self.models.items()}
        pointers, home = Pointers(project.locations), project.locations.home / COPIES
        self._keepers = [
            Keeper(
                served=served,
                pointers=pointers,
                copies=Copies(home, name),
                logs=self._logs[name],
                settings=self.settings,
                meters=self.meters,
            )
            for name, served in self.models.items()
        ]
        self._closed, self._looked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    @property
    def waiting_for(self) -> list[str]:
        """Name the models that no version answers for yet."""
        return [name for name, served in self.models.items() if served.line is None]

    async def start(self) -> None:
        """Begin to load, and go on looking who should answer; return after the first look.

        Until then a worker takes no requests: others may have their models already.
        """
        self._thread.start()
        await asyncio.to_thread(self._looked.wait, _FIRST_LOOK)

    async def close(self) -> None:
        """Stop looking, and write what waits to be logged."""
        self._closed.set()
        await asyncio.to_thread(self._thread.join, _LAST_LOOK)
        for shadow in self._shadows.values():
            await asyncio.to_thread(shadow.close)
        for logs in self._logs.values():
            await asyncio.to_thread(logs.close)

    def find(self, name: str) -> ServedModel:
        """Return a served model.

        Raises:
            RefusedError: There is none of this name.
        """
        if (found := self.models.get(name)) is not None:
            return found
        raise RefusedError(
            404,
            f"No model {name!r} is served.{did_you_mean(name, self.models)} "
            f"There are: {', '.join(sorted(self.models))}.",
            ["name"],
        )

    def told(self) -> bytes:
        """Return the worker's numbers, as they are now."""
        for logs in self._logs.values():
            logs.tell(self.meters)
        return self.meters.text()

    def _keep(self) -> None:
        while not self._closed.is_set():
            for keeper in self._keepers:
                try:
                    keeper.refresh()
                except Exception:  # noqa: BLE001
                    # Nothing may end this thread: without it no release is ever served again.
                    _log.exception("Looking after %s failed; it is tried again.", keeper.served.name)
            self._looked.set()
            # Workers that ask at different times do not all load a new version at once.
            self._closed.wait(self.settings.poll_seconds * random.uniform(0.8, 1.2))  # noqa: S311

    def _logs_of(self, spec: ModelSpec, served: ServedModel) -> Logs:
        return Logs(self._log_to, spec.name, lambda: self._key_kinds(spec, served), self.settings)

    def _key_kinds(self, spec: ModelSpec, served: ServedModel) -> dict[str, str]:
        """Return the kinds of what names a row: its key in its dataset, and the keys of its entities."""
        dataset = self.project.datasets.get(spec.entities.dataset)
        kinds: dict[str, str] = {name: each.type for name, each in dataset.taken.items()} if dataset else {}
        try:
            kinds |= Lake(self.project.locations.lake).columns(spec.entities.dataset)
        except KeepfitError as error:
            _log.info("%s is not published: %s", spec.entities.dataset, error)
        names = (*(dataset.key if dataset else ()), *(served.look_up.entities or spec.entities.columns))
        return {name: kinds.get(name, "string") for name in names}


def _spec(project: Project, name: str) -> ModelSpec:
    """Return a model as its runs see it; as its file says while the ledger is away."""
    try:
        return as_applied(project, name)
    except LedgerError:
        return project.model(name)
