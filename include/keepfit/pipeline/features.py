"""Whether features are fit to be used, recorded in the ledger view by view."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from keepfit.ledger import FeatureCheck, FeatureLedger, Ledger
from keepfit.ledger.features import What
from keepfit.pipeline.refresh import refresh_command
from keepfit.pipeline.storage import tells_of_storage
from keepfit.spec import DatasetSpec, Locations, Project

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore, RegisteredView
    from keepfit.steps.check_features import Checked


def check_all(
    project: Project, at: datetime, sample: int, run_id: str
) -> tuple[list[FeatureCheck], list[FeatureCheck]]:
    """Check all views of a project that read published datasets: their freshness, and their parity."""
    from keepfit.backends.feature_store import FeatureStore

    store = FeatureStore(project, project.spec.engine)
    store.register()
    checks, views = FeatureChecks(store, project.locations, project.datasets, run_id), store.view_names()
    return checks.freshness(views, at), checks.parity(views, at, sample)


class FeatureChecks:
    """Checks of registered views, made by one run."""

    def __init__(
        self, store: "FeatureStore", locations: Locations, datasets: Mapping[str, DatasetSpec], run_id: str
    ) -> None:
        """Look into a store; what is promised of its views is in the datasets' specs."""
        self._store = store
        self._ledger = FeatureLedger(locations.ledger_url)
        self._publications = Ledger(locations.ledger_url)
        self._datasets = datasets
        self._run_id = run_id

    @tells_of_storage
    def freshness(self, views: Iterable[str], at: datetime) -> list[FeatureCheck]:
        """Check and record how old views are at a moment."""
        from keepfit.steps.check_features import check_freshness

        found = (self._store.view(name) for name in views)
        return [
            self._record("freshness", check_freshness(view, at, self._promise(view)), at) for view in found
        ]

    @tells_of_storage
    def parity(self, views: Iterable[str], at: datetime, sample: int) -> list[FeatureCheck]:
        """Check and record whether the online store agrees with what is published."""
        from keepfit.steps.check_features import check_parity

        found = (self._store.view(name) for name in views)
        return [self._record("parity", check_parity(view, sample, self._refresh(view)), at) for view in found]

    def unfit(self, views: Iterable[str], at: datetime) -> list[str]:
        """Say what is wrong with views: their freshness at a moment, and their parity when last checked."""
        views = tuple(views)
        parity = (self._ledger.last_check(view, "parity") for view in views)
        checks = (*self.freshness(views, at), *(check for check in parity if check))
        return [check.reason for check in checks if not check.passed]

    def _promise(self, view: "RegisteredView") -> timedelta | None:
        dataset = self._datasets.get(view.dataset or "")
        return (dataset.freshness if dataset else None) or view.ttl

    def _refresh(self, view: "RegisteredView") -> str:
        command = refresh_command(self._publications, view.dataset) if view.dataset else None
        return command or f"keepfit run {view.dataset} --full-refresh --from ... --to ..."

    def _record(self, what: What, checked: "Checked", at: datetime) -> FeatureCheck:
        evidence: dict[str, Any] = checked.evidence
        check = FeatureCheck(checked.view, what, checked.passed, checked.reason, evidence, at, self._run_id)
        self._ledger.record_check(check)
        return check
