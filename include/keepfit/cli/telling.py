"""What a step's result says to a person: one line, and below it what must not be overlooked."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from keepfit.cli.scores import (
    told_decision,
    told_deployment,
    told_evaluation,
    told_gate,
    told_release,
    told_verification,
    told_watch,
)
from keepfit.pipeline.snapshot import Snapshot

Result = Mapping[str, Any]
Lines = Iterator[str]
_WIDEST = 160


def tell(step: str, result: Result, snapshot: Snapshot) -> Lines:
    """Yield what to show of a step; what has no words of its own is shown as it is, cut to a line."""
    words = _WORDS.get(step)
    yield from words(result, snapshot) if words else [_short(result)]
    yield from (f"WARNING {each}" for each in result.get("warnings", ()))


def _validated(result: Result, snapshot: Snapshot) -> Lines:
    if snapshot.the_dataset.inputs:
        yield "later, on the rows that are computed"
    else:
        yield from _held(result, snapshot)


def _transformed(result: Result, snapshot: Snapshot) -> Lines:
    outside = {"outside": result["outside"]} if result["outside"] else {}
    yield _short({"rows": result["rows"], **outside, "columns": list(result["columns"])})
    if snapshot.the_dataset.inputs and snapshot.folder.has("validate"):
        yield from _held(snapshot.folder.read("validate"), snapshot)


def _held(report: Result, snapshot: Snapshot) -> Lines:
    """Say which expectations the rows did not meet: a warning stops nothing, so it must be seen."""
    from keepfit.pipeline.validating import PAGE

    failed: Sequence[Result] = report["failures"]
    if not report["checked"]:
        yield "no expectations"
        return
    missed = len(failed) + report["left_out"]
    how_many = f"{missed} of {report['checked']} expectations not met" if missed else "all expectations met"
    yield f"{report['rows']:,} rows: {how_many}"
    for each in failed:
        about = f"{each['column'] or 'the table'}: {each['expectation']}"
        yield f"{each['severity'].upper()} {about}: {each['message']}"
    if failed:
        suite = f"feature_repo/{snapshot.the_dataset.files['expectations']}"
        yield (
            f"The window is published all the same. Correct the source and run the window again, or change "
            f"{suite}; `severity: critical` there would stop it. All of it: {snapshot.folder.file(PAGE)}"
        )


def _told(result: Result, _: Snapshot) -> Lines:
    yield from result.get("told") or [_short(result)]


def _short(result: Result) -> str:
    text = ", ".join(
        f"{name}={_value(value)}"
        for name, value in result.items()
        if name != "warnings" and value not in (None, [], {})
    )
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _built(result: Result, _: Snapshot) -> Lines:
    yield (
        f"{result['rows']:,} labelled rows, {result['first'][:10]} to {result['last'][:10]}, with "
        f"{len(result['features'])} features"
    )
    yield from (f"{count:,} more rows: {why}" for why, count in result["dropped"].items() if count)
    if empty := ", ".join(result["empty_features"]):
        yield f"WARNING without a value in any row, and left out: {empty}"


def _trained(result: Result, _: Snapshot) -> Lines:
    tried = {"trials": result["trials"], "stopped": result["stopped"]} if result["trials"] else {}
    yield _short({"trainer": result["estimator"] or result["trainer"], "rows": result["rows"], **tried})
    if result["unripe"]:
        yield f"{result['unripe']:,} more rows: label not known yet when the holdout begins"
    if empty := ", ".join(result["left_out"]):
        yield f"WARNING without a value in the rows before the holdout, and left out: {empty}"


_WORDS: Mapping[str, Callable[[Result, Snapshot], Lines]] = {
    "validate": _validated,
    "transform": _transformed,
    "build_training_set": _built,
    "train": _trained,
    "evaluate": told_evaluation,
    "gate": told_gate,
    "deploy": told_deployment,
    "release": told_release,
    "verify": told_verification,
    "decide": told_decision,
    "join_labels": _told,
    "measure": _told,
    "watch": told_watch,
    "lay_out": _told,
    "train_cut": _told,
    "assemble": _told,
    "choose": _told,
}
