"""Windows of broken data: no training sees them, until they come anew or somebody calls them real."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from keepfit.ledger import Decision, Ledger, Publication
from keepfit.pipeline.answers import is_broken
from keepfit.pipeline.snapshot import Snapshot
from keepfit.policy import Signals, faults
from keepfit.policy.decide import told_of
from keepfit.spec import Window

if TYPE_CHECKING:
    from keepfit.backends.feature_store import ServiceDescription
    from keepfit.steps.training_set import TrainingSet


def broken_windows(snapshot: Snapshot, until: datetime) -> tuple[Window, ...]:
    """Return the stretches of a model's time that nothing is to learn from, in order.

    A window is left out if the decision about it is `blocked`, or if an incident that held it was answered
    `fault`. What the broken columns are read from may be published anew, later than the decision and not the
    same again: that part of the window is good then.

    Args:
        snapshot: The run's that trains.
        until: No later window counts.
    """
    ledger = Ledger(snapshot.locations.ledger_url)
    decided, answers = ledger.decisions(snapshot.the_model.name), ledger.incident_answers()
    found = [each for each in decided if each.window_start < until and is_broken(each, answers)]
    if not found:
        return ()
    sources = _Sources(snapshot, ledger)
    return _joined(piece for decision in found for piece in sources.not_repaired(decision))


def left_out(built: "TrainingSet") -> Iterator[str]:
    """Say what was left out of a training set."""
    if not built.without:
        return
    rows = built.dropped["in a window of broken data"]
    windows = ", ".join(f"{each.start:%Y-%m-%d %H:%M} to {each.end:%Y-%m-%d %H:%M}" for each in built.without)
    yield (
        f"{rows:,} rows are left out, since their data was found broken: {windows}. Repair the source and "
        "ingest these windows again; if the data was right, answer the incident with `real`. Where there is "
        "none, `fleet: {common_cause: 1}` in keepfit.yaml has the next such window asked about."
    )


class _Sources:
    """What the model's columns are read from, and when that was published."""

    def __init__(self, snapshot: Snapshot, ledger: Ledger) -> None:
        self._snapshot, self._ledger = snapshot, ledger
        self._known: dict[str, list[Publication]] = {}

    def not_repaired(self, decision: Decision) -> Iterator[Window]:
        """Yield the parts of a window that are broken still."""
        datasets = self._datasets(decision)
        for names in datasets:
            publications = [each for name in names for each in self._publications(name)]
            yield from not_anew(publications, decision)

    def _datasets(self, decision: Decision) -> set[frozenset[str]]:
        """Return, for each broken column, the datasets it is read from: all where that is not known."""
        service = self._service
        everything = frozenset((*service.datasets, self._snapshot.the_model.entities.dataset))
        return {
            frozenset(each.dataset for each in service.reads if each.feature == name) or everything
            for name in _columns(decision, service.feature_names)
        } or {everything}

    def _publications(self, dataset: str) -> list[Publication]:
        if dataset not in self._known:
            self._known[dataset] = self._ledger.publications(dataset)
        return self._known[dataset]

    @property
    def _service(self) -> "ServiceDescription":
        from keepfit.backends.feature_store import FeatureStore

        return FeatureStore(self._snapshot, self._snapshot.project.engine).service(
            self._snapshot.the_model.features
        )


def _columns(decision: Decision, features: Iterable[str]) -> Iterator[str]:
    """Yield the columns that a decision calls broken."""
    stored: Mapping[str, object] | None = decision.evidence.get("signals")
    said = faults(Signals.of_json(stored).drift) if stored else ()
    return (name for name in features if told_of(name, said))


def not_anew(publications: Iterable[Publication], decision: Decision) -> Iterator[Window]:
    """Yield the parts of a decision's window that were not published anew after it, in order."""
    return _without(decision.window, _anew(publications, decision))


def _anew(publications: Iterable[Publication], decision: Decision) -> Iterator[Window]:
    """Yield the windows that were published after a decision, and not with the same rows again."""
    before: set[tuple[str, Window | None, str]] = set()
    for each in publications:
        same = (each.dataset, each.window, each.digest)
        if each.published_at <= decision.decided_at:
            before.add(same)
        elif same not in before:
            # A snapshot stands for all time.
            yield each.window or decision.window


def _without(window: Window, holes: Iterable[Window]) -> Iterator[Window]:
    """Yield what is left of a window, in order."""
    start = window.start
    for hole in sorted(holes):
        if hole.start > start and start < window.end:
            yield Window(start, min(hole.start, window.end))
        start = max(start, hole.end)
    if start < window.end:
        yield Window(start, window.end)


def _joined(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Join windows that touch or overlap, in order."""
    joined: list[Window] = []
    for window in sorted(windows):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return tuple(joined)
