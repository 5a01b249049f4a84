"""A wish to move an alias, and what no wish may ask for."""

from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from keepfit.backends.model_registry import CHALLENGER, CHAMPION, Alias
from keepfit.errors import DeploymentError
from keepfit.ledger import Deployment


@dataclass(frozen=True)
class Move:
    """A wish to make a version champion or challenger, or to take such a role away."""

    model: str
    to_version: str | None
    """None: take the alias away."""
    from_version: str | None
    """Where the alias is as the one who wishes knows it; if it is elsewhere by now, nothing moves."""
    who: str
    why: str
    run_id: str
    decision_key: str | None = None
    alias: Alias = CHAMPION
    share: float | None = None
    """Of the requests that a challenger answers; 0: none, it is scored beside."""

    @property
    def about(self) -> str:
        """Name what is moved."""
        return f"the {self.alias} of {self.model}"


def refuse_impossible(move: Move) -> None:
    """Refuse what no state of the aliases makes possible.

    Raises:
        DeploymentError: The share fits neither the role nor the numbers.
    """
    if move.alias == CHAMPION or move.to_version is None:
        if move.share is not None:
            who = "the champion answers all that no challenger answers" if move.to_version else "nobody does"
            raise DeploymentError(
                f"A share of {move.share:g} is given, but {who}. Nothing was moved; leave the share out, "
                "or make the version the challenger."
            )
    elif move.share is None or not 0 <= move.share < 1:
        given = "none" if move.share is None else f"{move.share:g}"
        raise DeploymentError(
            f"The share of a challenger is at least 0 (it is only scored beside the champion) and below 1, "
            f"and {given} was given for version {move.to_version} of {move.model}. Nothing was moved; to let "
            "it answer everything, make it the champion."
        )


def refuse_if_elsewhere(move: Move, live: str | None, recorded: Deployment | None) -> None:
    """Refuse to move an alias that is not where the one who wishes, and the ledger, think it is.

    Raises:
        DeploymentError: Somebody else moved it, by keepfit or past it.
    """
    known = recorded.to_version if recorded else None
    if move.to_version == live:
        return
    if move.from_version != live:
        raise DeploymentError(
            f"{upper(move.about)} is {named(live)}, not {named(move.from_version)} as it was when "
            f"{named(move.to_version)} was chosen. Nothing was moved; compare with the new {move.alias} "
            "first."
        )
    if known not in (live, move.to_version):
        raise DeploymentError(f"{astray(move.model, move.alias, live, recorded)} Nothing was moved.")


def refuse_if_there(move: Move, live: str | None, recorded: Deployment | None) -> None:
    """Refuse a move to where the alias is.

    Raises:
        DeploymentError: It would change nothing.
    """
    known = recorded.to_version if recorded else None
    if not live == known == move.to_version or (recorded and recorded.share != move.share):
        return
    since = f" since {when(recorded.moved_at)} ({recorded.why})" if recorded else ""
    share = f" with a share of {move.share:g}" if move.share is not None else ""
    raise DeploymentError(
        f"{upper(move.about)} is {named(live)}{share} already{since}. Nothing was moved; "
        f"`keepfit history {move.model}` lists all moves."
    )


def refuse_again(move: Move, own: Deployment, last: Deployment) -> NoReturn:
    """Refuse what the run has done before, since another has moved the alias meanwhile.

    Args:
        move: The wish.
        own: The move that the run made.
        last: The last move of the alias.

    Raises:
        DeploymentError: Always.
    """
    raise DeploymentError(
        f"This run moved {move.about} to {named(own.to_version)} already at {when(own.moved_at)}; since then "
        f"it was moved to {named(last.to_version)} by {last.who} at {when(last.moved_at)} ({last.why}). "
        "Nothing was moved; to do it again, start a new run."
    )


def refuse_if_out_of_order(move: Move, champion: str | None, challenger: str | None) -> None:
    """Refuse a challenger that challenges nobody.

    Raises:
        DeploymentError: There would be no champion, or it would be its own challenger.
    """
    if move.alias == CHAMPION:
        if move.to_version is None and challenger is not None:
            raise DeploymentError(
                f"Without its champion, {move.model} would have a challenger, version {challenger}, and "
                "nothing it challenges. Nothing was moved; first run "
                f"`keepfit release {move.model} --withdraw --as {CHALLENGER}`."
            )
    elif move.to_version is not None and champion in (None, move.to_version):
        state = "has no champion" if champion is None else f"has version {champion} as its champion already"
        raise DeploymentError(
            f"{move.model} {state}, so version {move.to_version} cannot challenge it. Nothing was moved; "
            f"`keepfit release {move.model} --version N` makes a version the champion."
        )


def astray(model: str, alias: Alias, live: str | None, recorded: Deployment | None) -> str:
    """Say that an alias is not where the ledger says, and what settles it either way."""
    known = recorded.to_version if recorded else None
    share = recorded.share if recorded else None
    return (
        f"The {alias} of {model} is {named(live)}, but the ledger deployed {named(known)} last: "
        f"somebody moved the alias past keepfit. Keep it so with `{_command(model, alias, live, None)}`, "
        f"or put it back with `{_command(model, alias, known, share)}`."
    )


def named(version: str | None) -> str:
    """Name a version, or none."""
    return f"version {version}" if version else "none"


def when(at: datetime) -> str:
    """Write a time to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _command(model: str, alias: Alias, version: str | None, share: float | None) -> str:
    if version is None:
        return f"keepfit release {model} --withdraw --as {alias}"
    role = f" --as {alias} --share {share or 0:g}" if alias == CHALLENGER else ""
    return f"keepfit release {model} --version {version}{role}"


def upper(text: str) -> str:
    """Begin a sentence."""
    return text[0].upper() + text[1:]
