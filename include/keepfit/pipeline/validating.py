"""How an ingest holds rows against the suite: bad rows set aside, the rest judged, the report kept."""

from pathlib import Path
from typing import Any

from keepfit.pipeline.set_aside import SetAside
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import Window

PAGE = "validation.html"
NOTHING_ASKED: dict[str, Any] = {"passed": True, "worst": None, "checked": 0, "failures": []}
"""The result where there is no suite."""


def validated(snapshot: Snapshot, aside: SetAside, file: Path, window: Window) -> dict[str, Any]:
    """Run the suite on a file, keep the report and its page, and stop at a critical failure.

    Raises:
        ValidationFailedError: A critical expectation failed.
    """
    folder, dataset = snapshot.folder, snapshot.the_dataset
    named = dataset.files.get("expectations")
    if named is None:
        return folder.write("validate", dict(NOTHING_ASKED))

    from keepfit.steps.validate import refuse_failed, validate
    from keepfit.steps.validation_page import validation_page

    suite = snapshot.files[named]
    with folder.scratch("validate") as scratch:
        judged = aside.part(file, suite, window, scratch)
        found = validate(judged, suite, dataset, snapshot.project.engine, scratch)
    report = aside.marked(found)
    with folder.staged(PAGE) as page:
        page.write_text(validation_page(report, dataset.name, window.key), encoding="utf-8")
    folder.write("validate", report.to_dict())
    refuse_failed(report, dataset.name, folder.file(PAGE))
    return report.to_dict()
