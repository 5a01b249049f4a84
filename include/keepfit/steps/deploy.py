"""Move the `champion` alias, the only way it ever moves: compare, try, set, read again, record."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from keepfit.backends.lock import alone
from keepfit.backends.model_registry import CHAMPION, ModelRegistry
from keepfit.errors import DeploymentError
from keepfit.ledger import Deployment, Ledger

_SMOKE_ROWS = 20
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Move:
    """A wish to make a version the champion."""

    model: str
    to_version: str
    from_version: str | None
    """The champion as the one who wishes knows it; if it is another by now, nothing moves."""
    who: str
    why: str
    run_id: str
    decision_key: str | None = None


def deploy(registry: ModelRegistry, ledger: Ledger, move: Move, locks: Path) -> Deployment | None:
    """Make a version the champion and record it; None if it is already, and recorded.

    A try that died between moving and recording is completed here.

    Args:
        registry: Where the alias is.
        ledger: Where moves are recorded.
        move: What to move, and why.
        locks: A folder for locks, one per model, shared by all who move aliases.

    Raises:
        DeploymentError: The champion changed meanwhile, or the alias is not where it was set.
        UntrustedModelError: The version's files are not those registered.
    """
    with alone(locks / f"{CHAMPION}__{move.model}.lock"):
        live = registry.champion(move.model)
        if live != move.to_version:
            _refuse_if_changed(move, live)
            try_out(registry, move.model, move.to_version)
            registry.move_alias(move.model, CHAMPION, move.to_version)
            _refuse_if_elsewhere(move, registry.champion(move.model))
        return _record(ledger, move)


def verify(registry: ModelRegistry, ledger: Ledger, model: str) -> str | None:
    """Check that alias, ledger and the loaded model agree; return the champion's version.

    Raises:
        DeploymentError: They do not.
    """
    live, recorded = registry.champion(model), ledger.live(model)
    known = recorded.to_version if recorded else None
    if live != known:
        raise DeploymentError(
            f"The champion of {model} is {_named(live)}, but the ledger deployed {_named(known)} last: "
            "somebody moved the alias past keepfit. Promote the version you want with keepfit."
        )
    if live is not None:
        try_out(registry, model, live)
    return live


def try_out(registry: ModelRegistry, model: str, version: str) -> None:
    """Load a version and score a few rows whose scores were recorded when it was made.

    Raises:
        DeploymentError: The scores differ.
    """
    rows = pd.read_parquet(registry.reference(model, version)).head(_SMOKE_ROWS)
    scores, recorded = registry.load(model, version).predict(rows), rows["score"].to_numpy(np.float64)
    apart = float(np.max(np.abs(scores - recorded), initial=0.0))
    if not apart <= _TOLERANCE:
        raise DeploymentError(
            f"Version {version} of {model} scores its own reference rows otherwise than when it was trained, "
            f"by up to {apart:.3g}. Its library may have changed: install the versions of its requirements, "
            "or train it again."
        )


def _refuse_if_changed(move: Move, live: str | None) -> None:
    if live != move.from_version:
        raise DeploymentError(
            f"The champion of {move.model} is {_named(live)}, not {_named(move.from_version)} as it was when "
            f"version {move.to_version} was chosen. Nothing was moved; compare with the new champion first."
        )


def _refuse_if_elsewhere(move: Move, live: str | None) -> None:
    if live != move.to_version:
        raise DeploymentError(
            f"The champion of {move.model} was set to version {move.to_version} and reads {_named(live)}: "
            "somebody else moved it at the same time. Look who, and promote again."
        )


def _record(ledger: Ledger, move: Move) -> Deployment | None:
    last = ledger.live(move.model)
    if last and last.to_version == move.to_version:
        return None
    deployment = Deployment(
        model=move.model,
        alias=CHAMPION,
        from_version=last.to_version if last else move.from_version,
        to_version=move.to_version,
        who=move.who,
        why=move.why,
        decision_key=move.decision_key,
        run_id=move.run_id,
    )
    ledger.record_deployment(deployment)
    return deployment


def _named(version: str | None) -> str:
    return f"version {version}" if version else "none"
