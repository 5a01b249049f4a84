"""Which windows were computed from rows that have been replaced since, and so must be computed again.

A republished window reaches forward: who looks back a day reads its rows for a day after its end. A run
knows, from its first step on, which version of each input it reads; a window is outdated once an input is
published at a later version within what the window reads. Both ends look, each after its own record is in
the ledger: the input for windows published before, the computed dataset for its inputs published meanwhile.
So no order of the two loses one.

A snapshot replaced makes nothing outdated: what was computed keeps the facts of its time.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from keepfit.ledger import Ledger, Publication
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.snapshot import Snapshot
from keepfit.pipeline.standing import Published, standing
from keepfit.spec import DatasetSpec, Window
from keepfit.spec.dataset import DatasetsSource


@dataclass(frozen=True)
class Outdated:
    """A window to compute again, and the id of the run that does it: one for each state of its inputs."""

    dataset: str
    window: Window
    run_id: str


class Outdating:
    """What the publication of one run makes outdated."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Look from a run that has published."""
        self._datasets = snapshot.datasets
        self._dataset = snapshot.the_dataset
        self._runs = snapshot.locations.runs
        self._ledger = Ledger(snapshot.locations.ledger_url)
        self._seen: dict[str, list[Published]] = {}

    def found(self, window: Window, version: int, used: Mapping[str, int], *, woken: bool) -> list[Outdated]:
        """List the windows, in the order they should be computed.

        Args:
            window: What was published.
            version: The version that holds it.
            used: The versions of its own inputs that it was computed from.
            woken: Whether the publication itself starts the same window of those that follow it, now and
                for the windows before.
        """
        own = [window] if self._is_outdated(self._dataset, window, used) else []
        found = [self._named(self._dataset, each) for each in own]
        if self._dataset.snapshot:
            return found
        for dependent in self._datasets.values():
            if self._dataset.name in dependent.inputs and not dependent.snapshot:
                windows = list(self._behind(dependent, window, version))
                if woken:
                    starts = dependent.inputs[0] == self._dataset.name
                    windows = [each for each in windows if each != window or not starts]
                    windows += self._never_published(dependent, window)
                found += [self._named(dependent, each) for each in windows]
        return found

    def _behind(self, dependent: DatasetSpec, window: Window, version: int) -> dict[Window, None]:
        """Return the published windows that read older rows of this one, with those published over them."""
        behind: dict[Window, None] = {}
        for theirs, each in standing(self._published(dependent.name), _reach(dependent, window)):
            if any(theirs.overlaps(other) for other in behind) or (
                theirs.reaching_back(_lookback(dependent)).overlaps(window)
                and self._used(dependent, each).get(self._dataset.name, -1) < version
            ):
                behind[theirs] = None
        return behind

    def _never_published(self, dependent: DatasetSpec, window: Window) -> Iterator[Window]:
        """List the later windows whose run was started, and may have failed since these rows were missing."""
        for theirs, _ in standing(self._published(dependent.inputs[0]), _reach(dependent, window)):
            reads = theirs.reaching_back(_lookback(dependent))
            if (
                reads.overlaps(window)
                and not theirs.overlaps(window)
                and not self._ledger.covers(dependent.name, theirs)
            ):
                yield theirs

    def _is_outdated(self, dataset: DatasetSpec, window: Window, used: Mapping[str, int]) -> bool:
        newest = self._newest(dataset, window)
        return any(newest.get(name, -1) > version for name, version in used.items())

    def _newest(self, dataset: DatasetSpec, window: Window) -> dict[str, int]:
        """Return the newest version of each input, but snapshots, within what a window reads."""
        reads, newest = window.reaching_back(_lookback(dataset)), dict[str, int]()
        for name in dataset.inputs:
            read = [each.version for theirs, each in self._published(name) if theirs.overlaps(reads)]
            newest |= {name: max(read)} if read else {}
        return newest

    def _published(self, name: str) -> list[Published]:
        """List a dataset's windows as published when this run first looked; a snapshot has none."""
        if name not in self._seen:
            published = self._ledger.publications(name)
            self._seen[name] = [(each.window, each) for each in published if each.window]
        return self._seen[name]

    def _used(self, dataset: DatasetSpec, published: Publication) -> Mapping[str, int]:
        """Return the versions a window was computed from; none if its run's folder is gone."""
        for verb in ("ingest", "quarantine"):  # A release publishes its window too.
            folder = RunFolder.of(self._runs, f"{dataset.name}__{verb}", published.run_id)
            if folder.has("extract"):
                return folder.read("extract")["inputs"] or {}
        return {}

    def _named(self, dataset: DatasetSpec, window: Window) -> Outdated:
        state = json.dumps(self._newest(dataset, window), sort_keys=True)
        digest = hashlib.sha256(state.encode()).hexdigest()[:10]
        return Outdated(dataset.name, window, f"recompute__{window.key}__{digest}")


def _reach(dataset: DatasetSpec, window: Window) -> Window:
    """Return the stretch whose rows are computed from a window's."""
    return Window(window.start, window.end + _lookback(dataset))


def _lookback(dataset: DatasetSpec) -> timedelta:
    return dataset.source.lookback if isinstance(dataset.source, DatasetsSource) else timedelta()
