"""Move an alias, the only way it ever moves: compare, try, set, read again, record."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from keepfit.backends.lock import alone_within
from keepfit.backends.model_registry import CHALLENGER, CHAMPION, ModelRegistry
from keepfit.errors import DeploymentError
from keepfit.ledger import Deployment, Ledger
from keepfit.steps.move import (
    Move,
    named,
    refuse_again,
    refuse_if_elsewhere,
    refuse_if_out_of_order,
    refuse_if_there,
    refuse_impossible,
    upper,
)
from keepfit.steps.strays import refuse_strays
from keepfit.steps.try_out import Given, refuse_other_signature, refuse_unknown_version, try_out

WAIT = timedelta(minutes=1)
"""How long another move of the same model may take before this one gives up."""

__all__ = ["WAIT", "Move", "deploy", "try_out", "verify"]


def deploy(
    registry: ModelRegistry,
    ledger: Ledger,
    move: Move,
    locks: Path,
    *,
    given: Callable[[], Given] | None = None,
    wait: timedelta = WAIT,
) -> Deployment | None:
    """Move an alias and record it; None if this very run has done so before.

    A try that died between moving and recording is completed here. A challenger that becomes champion is the
    challenger no more.

    Args:
        registry: Where the alias is.
        ledger: Where moves are recorded.
        move: What to move, and why.
        locks: A folder for locks, one per model, shared by all on this machine who move aliases.
        given: Says what the model's feature service gives; not compared with what a version takes if None.
        wait: How long to wait for another who moves an alias of the model.

    Raises:
        DeploymentError: The move is impossible, or changes nothing, or was done and then undone by another,
            or the alias is not where it is thought to be, before or after.
        RegistryError: Keepfit did not register the version.
        UntrustedModelError: The version's files are not those registered.
    """
    refuse_impossible(move)
    with _alone(ledger, move.model, locks, wait):
        done = None if _done_before(registry, ledger, move) else _moved(registry, ledger, move, given)
        if move.alias == CHAMPION:
            _relieve(registry, ledger, move)
        return done


def verify(registry: ModelRegistry, ledger: Ledger, model: str) -> str | None:
    """Check that aliases, ledger and the loaded champion agree; return the champion's version.

    Raises:
        DeploymentError: They do not.
    """
    refuse_strays(registry, ledger, model)
    live = registry.champion(model)
    if live is not None:
        try_out(registry, model, live)
    return live


@contextmanager
def _alone(ledger: Ledger, model: str, locks: Path, wait: timedelta) -> Iterator[None]:
    with (
        alone_within(locks / f"move__{model}.lock", wait.total_seconds()) as here,
        ledger.moving(model, wait if here else timedelta(0)) as anywhere,
    ):
        if not (here and anywhere):
            raise DeploymentError(
                f"Somebody else has been moving an alias of {model} for {wait.total_seconds():g} s. Nothing "
                f"was moved; see `keepfit history {model}` when that is done, and decide again."
            )
        yield


def _done_before(registry: ModelRegistry, ledger: Ledger, move: Move) -> bool:
    moves = ledger.deployments(move.model, move.alias)
    wanted = (move.to_version, move.share, move.run_id)
    own = [at for at, each in enumerate(moves) if (each.to_version, each.share, each.run_id) == wanted]
    if not own:
        return False
    if own[-1] < len(moves) - 1:
        refuse_again(move, moves[own[-1]], moves[-1])
    return registry.alias(move.model, move.alias) == move.to_version


def _moved(
    registry: ModelRegistry, ledger: Ledger, move: Move, given: Callable[[], Given] | None
) -> Deployment:
    aliases, recorded = registry.aliases(move.model), ledger.live(move.model, alias=move.alias)
    live = aliases.get(move.alias)
    refuse_if_elsewhere(move, live, recorded)
    refuse_if_there(move, live, recorded)
    refuse_if_out_of_order(move, aliases.get(CHAMPION), aliases.get(CHALLENGER))
    if move.to_version is not None:
        refuse_unknown_version(registry, move.model, move.to_version)
        if given is not None:
            refuse_other_signature(registry, move.model, move.to_version, given())
        try_out(registry, move.model, move.to_version)
    known = recorded.to_version if recorded else None
    before = live if live != move.to_version else known
    if live != move.to_version:
        _set(registry, move)
    return _record(ledger, replace(move, from_version=before))


def _set(registry: ModelRegistry, move: Move) -> None:
    """Set the alias and read it again."""
    registry.move_alias(move.model, move.alias, move.to_version)
    found = registry.alias(move.model, move.alias)
    if found != move.to_version:
        raise DeploymentError(
            f"{upper(move.about)} was set to {named(move.to_version)} and reads {named(found)}: "
            "somebody else moved it at the same time. Look who, and decide again."
        )


def _record(ledger: Ledger, move: Move) -> Deployment:
    return ledger.record_deployment(
        Deployment(
            model=move.model,
            alias=move.alias,
            from_version=move.from_version,
            to_version=move.to_version,
            who=move.who,
            why=move.why,
            decision_key=move.decision_key,
            run_id=move.run_id,
            share=move.share,
        )
    )


def _relieve(registry: ModelRegistry, ledger: Ledger, move: Move) -> None:
    """Take the challenger's role from a version that has become champion."""
    if move.to_version is None or registry.alias(move.model, CHALLENGER) != move.to_version:
        return
    relief = replace(
        move,
        alias=CHALLENGER,
        from_version=move.to_version,
        to_version=None,
        share=None,
        why=f"it became champion: {move.why}",
    )
    _set(registry, relief)
    _record(ledger, relief)
