"""What is broken in a monitoring run's window, held against the windows before it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from keepfit.ledger import Ledger
from keepfit.pipeline.answers import is_doubted
from keepfit.pipeline.calibrating import latest_calibration
from keepfit.pipeline.comparing import WINDOW_SKETCHES, Compared
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from keepfit.steps.faults import Faults


def faults_of(snapshot: Snapshot, both: Compared) -> "Faults":
    """Look for faults and jumps by the sketches that the monitoring of earlier windows has left."""
    from keepfit.backends.sketches import read_sketches
    from keepfit.steps.faults import BEFORE, Faults, find_faults

    if not both.rows:
        return Faults()
    reference = {name: both.reference[name] for name in both.features if name in both.reference}
    files = [*_sketched_before(snapshot)][:BEFORE]
    before = [read_sketches(each) for each in reversed(files)]
    calibration = latest_calibration(snapshot.locations.runs, snapshot.the_model.name)
    return find_faults(reference, before, both.current, calibration)


def _sketched_before(snapshot: Snapshot) -> Iterator["Path"]:
    """Yield the sketches of earlier windows whose data nobody doubts, latest first."""
    model, start = snapshot.the_model.name, snapshot.the_window.start
    ledger = Ledger(snapshot.locations.ledger_url)
    decided, answers = ledger.decisions(model), ledger.incident_answers()
    unfit = {each.window_end for each in decided if is_doubted(each, answers)}
    known = {each.window_end: each for each in decided if each.window_end <= start}
    for end, each in sorted(known.items(), reverse=True):
        folder = RunFolder.of(snapshot.locations.runs, f"{model}__monitor", each.decided_by)
        file = folder.file(WINDOW_SKETCHES)
        if end not in unfit and file.exists():
            yield file
