"""One ingest: a dataset's window from its source to the lake and the online store."""

import shutil
from pathlib import Path
from typing import Any

from keepfit.ledger import Ledger
from keepfit.pipeline.inputs import fixed_inputs, input_views, missing_inputs
from keepfit.pipeline.publishing import PUBLISHED, Publishing
from keepfit.pipeline.set_aside import SetAside
from keepfit.pipeline.snapshot import Snapshot
from keepfit.pipeline.snapshot_age import snapshot_ages
from keepfit.pipeline.storage import tells_of_storage
from keepfit.pipeline.validating import NOTHING_ASKED, validated
from keepfit.plugins import Access, SourceRequest, use_plugins
from keepfit.spec import Window
from keepfit.spec.dataset import DatasetsSource

Result = dict[str, Any]
EXTRACTED = "extracted.parquet"


class IngestRun:
    """The steps of an ingest, in their order. Each can be done again, with the same result."""

    def __init__(self, snapshot: Snapshot, access: Access) -> None:
        """Work on a dataset's run; sources are reached by `access`."""
        self._snapshot = snapshot
        self._folder = snapshot.folder
        self._dataset = snapshot.the_dataset
        self._access = access
        self._aside = SetAside(snapshot)

    def wait_for(self) -> tuple[str, ...]:
        """Name the inputs that are not published yet for the window and its lookback."""
        return tuple(missing_inputs(self._snapshot, self._snapshot.the_window))

    @tells_of_storage
    def extract(self) -> Result:
        """Read the window's rows, or fix which versions of its inputs the dataset is computed from."""
        window = self._whole_window()
        if isinstance(self._dataset.source, DatasetsSource):
            inputs, given = fixed_inputs(self._snapshot, window), self._dataset.inputs
            ages = snapshot_ages(
                Ledger(self._snapshot.locations.ledger_url),
                (self._snapshot.datasets[name] for name in given),
                window,
            )
            return self._done("extract", window=window.key, rows=None, inputs=inputs, snapshots=ages)

        from keepfit.steps.extract import extract

        use_plugins(self._snapshot.root)
        with self._folder.scratch("extract") as scratch, self._folder.staged(EXTRACTED) as out:
            extracted = extract(self._request(window, out, scratch))
        return self._done("extract", window=window.key, rows=extracted.rows, inputs=None)

    @tells_of_storage
    def check_schema(self) -> Result:
        """Hold the extracted columns against the declared ones."""
        if self._dataset.inputs:
            return self._done("check_schema", rows=None, warnings=[], left_behind=[], missing={})

        from keepfit.steps.check_schema import check_schema

        with self._folder.scratch("check_schema") as scratch:
            check = check_schema(
                self._folder.file(EXTRACTED), self._dataset, self._snapshot.project.engine, scratch
            )
        return self._done(
            "check_schema",
            rows=check.rows,
            warnings=list(check.warnings),
            left_behind=list(check.left_behind),
            missing={column: count for column, count in check.missing.items() if count},
        )

    @tells_of_storage
    def validate(self) -> Result:
        """Hold the extracted rows against the suite; `transform` does so for rows computed from datasets."""
        if self._dataset.inputs:
            return self._done("validate", **NOTHING_ASKED)
        return validated(self._snapshot, self._aside, self._folder.file(EXTRACTED), self._window())

    @tells_of_storage
    def transform(self) -> Result:
        """Compute the rows to publish."""
        from keepfit.steps.transform import transform

        window, file = self._window(), self._dataset.files.get("transform")
        with self._folder.scratch("transform") as scratch, self._folder.staged(PUBLISHED) as out:
            made = transform(
                self._dataset,
                self._snapshot.files[file] if file else None,
                self._views(window),
                window,
                out=out,
                bounds=self._snapshot.project.engine,
                scratch=scratch,
            )
            if self._dataset.inputs:
                validated(self._snapshot, self._aside, out, window)
                if (kept := self._aside.to_publish(out)) != out:
                    shutil.copyfile(kept, out)
        held_back = self._aside.held_back if self._dataset.inputs else 0
        return self._done(
            "transform",
            rows=made.rows - held_back,
            outside=made.outside,
            columns=dict(made.columns),
            warnings=list(made.warnings),
        )

    @tells_of_storage
    def publish(self) -> Result:
        """Make the window visible, all at once.

        Who rules on its rows after they were parted, even while they are published, has them parted again.
        """
        self._heed_rulings()
        result = self._published()
        while self._heed_rulings():
            result = self._published()
        return result

    def _heed_rulings(self) -> bool:
        if not self._aside.is_overruled:
            return False
        self.validate()
        self.transform()
        return True

    def _published(self) -> Result:
        publishing = Publishing(self._snapshot, self._window(), anew=self._anew)
        return self._done("publish", **publishing.publish(self._aside))

    def outdated(self, *, woken: bool) -> Result:
        """Name the windows that this publication calls for again, each with the id of a run that does it.

        A full refresh names none: its one window is all of the past.

        Args:
            woken: Whether the publication starts what follows it, where it wakes anything.
        """
        from keepfit.pipeline.outdated import Outdating

        published, used = self._folder.read("publish"), self._folder.read("extract")["inputs"] or {}
        found = (
            []
            if self._anew
            else Outdating(self._snapshot).found(
                self._window(), published["version"], used, woken=woken and published["wakes"]
            )
        )
        windows = [
            {"dataset": each.dataset, "window": each.window.key, "run_id": each.run_id} for each in found
        ]
        return self._done("outdated", windows=windows)

    @tells_of_storage
    def materialize(self) -> Result:
        """Bring the window's features into the online store.

        A full refresh and a drop of rows replace all that is online of them: what is withdrawn may be the
        newest.
        """
        from keepfit.backends.feature_store import FeatureStore
        from keepfit.steps.materialize import materialize

        store = FeatureStore(self._snapshot, self._snapshot.project.engine)
        store.register()
        anew = self._anew or self._snapshot.settings.get("action") == "drop"
        done = materialize(store, self._dataset, self._window(), anew=anew)
        return self._done(
            "materialize", views=list(done.views), start=done.start.isoformat(), end=done.end.isoformat()
        )

    @property
    def _anew(self) -> bool:
        return bool(self._snapshot.settings.get("full_refresh"))

    def _whole_window(self) -> Window:
        """Return the run's window; a full refresh takes in every window published so far."""
        window = self._snapshot.the_window
        if not self._anew:
            return window
        published = Ledger(self._snapshot.locations.ledger_url).publications(self._dataset.name)
        windows = [window, *(each.window for each in published if each.window)]
        return Window(min(each.start for each in windows), max(each.end for each in windows))

    def _window(self) -> Window:
        return Window.of_key(self._folder.read("extract")["window"])

    def _request(self, window: Window, out: Path, scratch: Path) -> SourceRequest:
        snapshot = self._snapshot
        return SourceRequest(
            self._dataset, window, out, snapshot.root, self._access, scratch, snapshot.project.engine
        )

    def _views(self, window: Window) -> list[Any]:
        from keepfit.steps.transform_views import source_view

        source = self._dataset.source
        if isinstance(source, DatasetsSource):
            return input_views(self._snapshot, source, self._folder.read("extract")["inputs"], window)
        return [source_view(self._aside.to_publish(self._folder.file(EXTRACTED)), self._dataset)]

    def _done(self, step: str, **result: Any) -> Result:
        return self._folder.write(step, result)
