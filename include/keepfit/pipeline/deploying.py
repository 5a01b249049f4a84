"""The step `deploy`: the challenger becomes champion, unless something stands against it."""

from typing import Any

from keepfit.pipeline.aliases import Aliases
from keepfit.pipeline.approval import ApprovalRun
from keepfit.pipeline.trained import TrainedSoFar


def deploy_challenger(done: TrainedSoFar) -> dict[str, Any]:
    """Make the challenger champion, if the gate, both promotions and whoever was asked allow it."""
    from keepfit.steps.deploy import Move

    if refusal := _why_not(done):
        return done.folder.write("deployed", {"version": None, "skipped": refusal})
    said = ApprovalRun(done.snapshot).given() or {}
    approved = f"approved by {said['who']}{': ' if said['why'] else ''}{said['why']}" if said else None
    settings, reasons = done.snapshot.settings, done.judgement.reasons
    move = Move(
        model=done.spec.name,
        to_version=_version(done),
        from_version=done.evaluation.champion_version,
        who=said.get("who", f"{done.spec.name}__train"),
        why="; ".join(filter(None, (settings.get("reason"), approved, *reasons))),
        run_id=done.snapshot.run_id,
        decision_key=settings.get("decision"),
    )
    Aliases(done.snapshot, done.spec, done.snapshot.project).move(move)
    return done.folder.write("deployed", {"version": move.to_version, "skipped": None})


def _why_not(done: TrainedSoFar) -> str | None:
    judgement = done.judgement
    if judgement.verdict != "pass":
        return f"the gate's verdict is {judgement.verdict}: {'; '.join(judgement.reasons)}"
    if done.spec.promotion == "never":
        return f"models/{done.spec.name}.yaml says `promotion: never`"
    if done.snapshot.settings.get("promotion", "auto") == "never":
        return "this run was started with `promotion: never`"
    return _taken_back(done) or ApprovalRun(done.snapshot).refusal()


def _taken_back(done: TrainedSoFar) -> str | None:
    from keepfit.steps.watch import taken_back

    version, name = _version(done), done.spec.name
    moves, decision = done.ledger.deployments(name), done.snapshot.settings.get("decision")
    if reason := taken_back(moves, version, decision):
        return f"{reason}. To promote it all the same, run `keepfit release {name} --version {version}`"
    return None


def _version(done: TrainedSoFar) -> str:
    return str(done.folder.read("registered")["version"])
