"""A monitoring run: labels, performance, drift, and the decision that goes into the ledger."""

from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keepfit.ledger import Decision, Ledger, decision_key, share, spans
from keepfit.pipeline.broken import broken_windows
from keepfit.pipeline.champion import LiveVersion, find_champion
from keepfit.pipeline.comparing import samples
from keepfit.pipeline.drifting import seen_until, window_drift
from keepfit.pipeline.estimating import estimate_window
from keepfit.pipeline.fleet import Fleet
from keepfit.pipeline.monitored import (
    LABELS,
    PREDICTIONS,
    awaits_labels,
    is_reached,
    labels_of,
    made_predictions,
    predictions_of,
    tables,
    unseen_windows,
)
from keepfit.pipeline.snapshot import Snapshot
from keepfit.pipeline.storage import tells_of_storage
from keepfit.plugins import Access, use_plugins
from keepfit.policy import needs_challenger, policy_version

if TYPE_CHECKING:
    from keepfit.steps.decide import Measured

LABELLED, REPORT, CHALLENGE = "labelled.parquet", "drift_report.html", "challenge"


class MonitorRun:
    """One window of one model. Each step finds out for itself what it needs of the champion."""

    def __init__(self, snapshot: Snapshot, access: Access) -> None:
        """Take what the run works from; a prediction log on S3 is reached by `access`."""
        self.snapshot = snapshot
        self.folder = snapshot.folder
        self._access = access
        self.model = snapshot.the_model
        self.window = snapshot.the_window
        self.ledger = Ledger(snapshot.locations.ledger_url)

    @cached_property
    def champion(self) -> LiveVersion | None:
        """The version that was live when this run first asked; None before the first."""
        return find_champion(self.snapshot)

    def wait_for(self) -> tuple[str, ...]:
        """Name what is not published yet, up to the window's end, of what this window is judged by.

        A gap before that end is not waited for: a prediction that failed for good would hold up this window
        and all that follow. The decision says how much of the window is predicted.
        Nothing is waited for without a champion: nobody predicts then, and the decision says so.
        """
        if not self._has_champion():
            return ()
        waiting = {
            predictions_of(self.model): not is_reached(predictions_of(self.model), self.window, self.ledger),
            self.model.label_dataset: awaits_labels(self.model, self.window, self.ledger, datetime.now(UTC)),
        }
        return tuple(name for name, is_missing in waiting.items() if is_missing)

    @tells_of_storage
    def join_labels(self) -> dict[str, Any]:
        """Join the predictions whose labels became known in the window."""
        from keepfit.steps.join_labels import LabelJoin, join_labels
        from keepfit.steps.labels import count_labels

        if self.champion is None:
            return self.folder.write("join_labels", {**asdict(LabelJoin(0, 0, 0, 0, None)), "new_rows": 0})
        labels, delay = labels_of(self.snapshot), self.model.label.delay
        unseen = unseen_windows(self.model, self.window, self.ledger)
        with (
            tables(self.snapshot, PREDICTIONS, LABELS) as connection,
            made_predictions(self.snapshot, connection, self._access) as made,
            self.folder.staged(LABELLED) as out,
        ):
            # A champion is no worse for what a broken source made of its predictions.
            broken = broken_windows(self.snapshot, self.window.start)
            joined = join_labels(
                connection, made, labels, window=self.window, delay=delay, out=out, without=broken
            )
            counted = [count_labels(connection, labels, each) for each in unseen or ()]
        # Nobody knows what a champion has seen whose training is recorded nowhere.
        new_rows = None if unseen is None else sum(counted)
        said = {"told": [str(joined)], "warnings": list(joined.warnings())}
        return self.folder.write("join_labels", {**asdict(joined), "new_rows": new_rows, **said})

    def measure(self) -> dict[str, Any]:
        """Measure every version on its labelled predictions, the champion against its holdout."""
        import pandas as pd

        from keepfit.steps.measure import measure_performance
        from keepfit.steps.outcomes import outcomes_of

        joined = self.folder.read("join_labels")
        if self.champion is None:
            return self.folder.write("measure", {"signal": None, "versions": {}})
        use_plugins(self.snapshot.root)
        labelled = pd.read_parquet(self.folder.file(LABELLED))
        champion = self.champion
        maturity = {(each["role"], each["version"]): each["maturity"] for each in joined["roles"]}
        result = measure_performance(
            labelled,
            self.model,
            champion.version,
            champion.holdout,
            mean_label=champion.mean_label,
            seen_until=seen_until(self.snapshot, champion),
            maturity=maturity,
        )
        outcomes = outcomes_of(self.model.name, self.window, result.roles, self.snapshot.run_id)
        self.ledger.record_outcomes(outcomes)
        estimated = estimate_window(self.snapshot, champion)
        said = {"estimated": estimated, "told": [*map(str, result.roles), estimated["told"]]}
        return self.folder.write("measure", {**asdict(result), **said})

    def detect_drift(self) -> dict[str, Any]:
        """Hold the window's features against those the champion was trained on."""
        if self.champion is None:
            return self.folder.write("detect_drift", {"drifted": None, "reason": "no champion yet"})
        found, summary = window_drift(self.snapshot, self.champion)
        self.folder.write("detect_drift", found)
        return summary

    @tells_of_storage
    def challenge(self) -> dict[str, Any]:
        """Hold a fresh challenger against the champion, if the verdict hangs on how it does."""
        from keepfit.pipeline.challenging import Challenge
        from keepfit.steps.decide import before

        signals = self._measured().signals(self.model.name, self.window)
        past = before(signals, self.ledger.decisions(self.model.name))
        if self.champion is None or not needs_challenger(signals, past, self.model.policy):
            told = "no challenger is trained: the verdict does not hang on one"
            return self.folder.write(CHALLENGE, {"signal": None, "told": [told]})
        found = Challenge(self.snapshot, self._access, self.champion, self.folder.file(LABELLED)).run()
        return self.folder.write(CHALLENGE, {"signal": asdict(found.signal), "told": [found.told]})

    def draw_drift(self) -> dict[str, Any]:
        """Render Evidently's report of the window. Nothing depends on it."""
        from keepfit.steps.draw_drift import draw_drift

        if self.champion is None:
            return {"report": None}
        page = draw_drift(*samples(self.snapshot, self.champion), self.champion.features)
        if page is None:
            return {"report": None}
        with self.folder.staged(REPORT) as path:
            path.write_text(page)
        return {"report": str(self.folder.file(REPORT))}

    def decide(self) -> dict[str, Any]:
        """Decide about the window and record it; a decision made before stands."""
        from keepfit.steps.decide import Memory, make_decision

        measured = self._measured()
        name, by = self.model.name, self.snapshot.run_id
        fleet = Fleet(self.snapshot, measured.signals(name, self.window), measured.drift)

        def make(memory: Memory) -> Decision:
            return make_decision(self.model, self.window, measured, memory, by)

        key = decision_key(name, policy_version(self.model), self.window)
        made = fleet.decide(self.ledger, key, make)
        return self.folder.write("decide", _outcome(made, by))

    def _measured(self) -> "Measured":
        from keepfit.steps.decide import Measured

        read = self.folder.read
        return Measured(
            joined=read("join_labels"),
            performance=read("measure"),
            drift=read("detect_drift"),
            champion=self.champion.signal if self.champion else None,
            predicted=share(spans(self.ledger.publications(predictions_of(self.model))), self.window),
            regret=read(CHALLENGE)["signal"] if self.folder.has(CHALLENGE) else None,
        )

    def _has_champion(self) -> bool:
        """Look without settling on the one there is, since waiting may take long; on none, settle."""
        from keepfit.backends.model_registry import ModelRegistry

        at = self.snapshot.locations
        registry = ModelRegistry(at.tracking_uri, at.artifacts)
        return registry.champion(self.model.name) is not None or self.champion is not None


def _outcome(decision: Decision, by: str) -> dict[str, Any]:
    """Return what the run `by` is to store of a decision, its own or one that stands."""
    return {
        "key": decision.key,
        "verdict": decision.verdict,
        "trigger": decision.trigger,
        "reason": decision.reason,
        "window_end": decision.window_end.isoformat(),
        "run_id": decision.run_id,
        "conf": decision.conf if decision.run_id else None,
        "incidents": list(decision.incidents),
        "stands_since": decision.decided_at.isoformat() if decision.decided_by != by else None,
    }
