"""How a challenger did and what became of it, in words and a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from keepfit.cli.table import table
from keepfit.pipeline.snapshot import Snapshot

Result = Mapping[str, Any]
_LARGE = 1000


def told_evaluation(result: Result, snapshot: Snapshot) -> Iterator[str]:
    """Show every metric of every model on the holdout."""
    spec = snapshot.the_model
    yield f"{result['rows']:,} rows of the holdout, {result['start'][:10]} to {result['end'][:10]}"
    rows = []
    for index, metrics in enumerate(result["candidates"]):
        role = "challenger" if index == result["challenger"] else "candidate"
        rows.append((f"{role}, {_name(spec.train.candidates[index])}", metrics))
    if result["champion"]:
        rows.append((f"champion, version {result['champion_version']}", result["champion"]))
    rows.append(("baseline, the mean label", result["baseline"]))
    names = spec.evaluate.all_metrics
    head = ("MODEL", *(f"{name} (objective)" if name == spec.evaluate.objective else name for name in names))
    yield from table(head, [(who, *(_figure(of[name]) for name in names)) for who, of in rows]).splitlines()
    if result["champion_problem"]:
        champion = f"The champion, version {result['champion_version']}"
        yield f"{champion}, cannot be scored: {result['champion_problem']}"


def told_gate(result: Result, _: Snapshot) -> Iterator[str]:
    """Say the verdict with its reasons."""
    yield f"verdict: {result['verdict']}"
    yield from result["reasons"]


def told_deployment(result: Result, snapshot: Snapshot) -> Iterator[str]:
    """Say who is champion now, or why nothing changed."""
    if result["skipped"] is None:
        yield f"version {result['version']} is champion"
    else:
        made = snapshot.folder.read("registered")
        # The gate's reasons have just been told.
        why = result["skipped"] if made["verdict"] == "pass" else f"the gate's verdict is {made['verdict']}"
        yield f"version {made['version']} is registered, but not deployed: {why}"


def told_release(result: Result, _: Snapshot) -> Iterator[str]:
    """Say what has which role now."""
    before = f" (before: version {result['from']})" if result["from"] else ""
    if result["to"] is None:
        yield f"there is no {result['role']} any more{before}"
    else:
        share = f" with a share of {result['share']:g}" if result["share"] is not None else ""
        yield f"version {result['to']} is {result['role']}{share}{before}"


def told_verification(result: Result, _: Snapshot) -> Iterator[str]:
    """Say what was seen to agree."""
    servers = f", and every server answers so ({result['servers']})" if result.get("servers") else ""
    yield f"registry, ledger and model agree{servers}"


def told_watch(result: Result, _: Snapshot) -> Iterator[str]:
    """Say how the champion does beside the version before it, and whether that one is live again."""
    if result["rolled_back_to"]:
        yield f"rolled back to version {result['rolled_back_to']}"
    yield f"version {result['version']}: {result['reason']}" if result["version"] else result["reason"]


def told_decision(result: Result, _: Snapshot) -> Iterator[str]:
    """Say the verdict on a window, with its reason."""
    called = f", called for by {result['trigger']}" if result["trigger"] != "none" else ""
    yield f"verdict: {result['verdict']}{called}"
    yield result["reason"]
    if since := result.get("stands_since"):
        yield f"An earlier run decided so at {since[:16].replace('T', ' ')}: a policy decides a window once."


def _name(candidate: Any) -> str:
    return str(candidate.estimator or candidate.trainer).rpartition(".")[2]


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < _LARGE else f"{value:,.1f}"
