"""Rule on rows in quarantine: release them into their window, or drop them for good."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from keepfit.errors import ConfError
from keepfit.ledger import Ledger, Ruling
from keepfit.pipeline.set_aside import quarantine_table
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import DatasetSpec, Locations, Window

State = Literal["pending", "released", "dropped"]
ACTIONS: Mapping[str, Literal["released", "dropped"]] = {"release": "released", "drop": "dropped"}


@dataclass(frozen=True)
class HeldRow:
    """A row in quarantine."""

    key: str
    digest: str
    window: str
    reasons: str
    run_id: str
    state: State
    was_released: bool
    """Whether it ever was: then it may be published."""


def held_rows(dataset: DatasetSpec, locations: Locations, window: Window | None = None) -> list[HeldRow]:
    """List a dataset's rows in quarantine, by time; those of a window, if one is given."""
    from keepfit.backends.lake import Lake
    from keepfit.backends.quarantine import AT, DIGEST, KEY, REASONS, RUN, WINDOW

    lake, table = Lake(locations.lake), quarantine_table(dataset.name)
    if not lake.exists(table):
        return []
    rows = lake.dataset(table).to_table(columns=[KEY, DIGEST, WINDOW, REASONS, RUN, AT]).sort_by(AT)
    ruled: dict[tuple[str, str], list[str]] = {}
    for each in Ledger(locations.ledger_url).rulings(dataset.name):
        ruled.setdefault((each.row_key, each.digest), []).append(each.ruling)
    return [
        _held(row, ruled.get((row[KEY], row[DIGEST]), []))
        for row in rows.to_pylist()
        if window is None or window.start <= row[AT] < window.end
    ]


def _held(row: Mapping[str, Any], rulings: Sequence[str]) -> HeldRow:
    key, digest, window, reasons, run_id, _ = row.values()
    state: Any = rulings[-1] if rulings else "pending"
    return HeldRow(key, digest, window, reasons, run_id, state, "released" in rulings)


class QuarantineRun:
    """One ruling, and the ingest that follows it. Each step can be done again, with the same result."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work on a dataset's run, whose settings say what to do with which keys."""
        self._snapshot = snapshot

    def rule(self) -> dict[str, Any]:
        """Record what becomes of the window's rows; tell whether the window has to be published again.

        Without keys, it is said of the rows that no one has ruled on yet.

        Raises:
            ConfError: There is no such row, or no such action, or rows to be released share a key.
        """
        ruling, keys = self._ruling(), keys_of(self._snapshot.settings.get("keys"))
        meant = list(self._meant(keys))
        if ruling == "released":
            _refuse_doubles(self._snapshot.the_dataset.name, meant)
        changed = [each for each in meant if each.state != ruling and (keys or each.state == "pending")]
        Ledger(self._snapshot.locations.ledger_url).rule(self._record(each, ruling) for each in changed)
        again = any(each.was_released for each in meant) or (ruling == "released" and bool(meant))
        return self._snapshot.folder.write("rule", {"ruling": ruling, "rows": len(changed), "again": again})

    def _ruling(self) -> Literal["released", "dropped"]:
        action = str(self._snapshot.settings.get("action"))
        if action not in ACTIONS:
            raise ConfError(f"action is {action!r}. Give one of: {', '.join(ACTIONS)}.")
        return ACTIONS[action]

    def _meant(self, keys: frozenset[str]) -> Iterator[HeldRow]:
        dataset, window = self._snapshot.the_dataset, self._snapshot.the_window
        held = held_rows(dataset, self._snapshot.locations, window)
        if unknown := sorted(keys - {each.key for each in held}):
            raise ConfError(
                f"No row of {dataset.name} with the key {', '.join(unknown)} is in quarantine in "
                f"{window.key}. "
                f"`keepfit quarantine {dataset.name}` lists those that are."
            )
        return (each for each in held if not keys or each.key in keys)

    def _record(self, row: HeldRow, ruling: Literal["released", "dropped"]) -> Ruling:
        name, who = self._snapshot.the_dataset.name, self._snapshot.settings.get("who") or "airflow"
        return Ruling(name, row.key, row.digest, row.window, ruling, str(who), self._snapshot.run_id)


def _refuse_doubles(dataset: str, rows: Sequence[HeldRow]) -> None:
    """Refuse rows of one key, before anything is recorded: a published window has each key once."""
    counted = Counter(each.key for each in rows)
    if doubled := sorted(key for key, count in counted.items() if count > 1):
        raise ConfError(
            f"{', '.join(doubled)}: more than one row of {dataset} in quarantine has this key, and a key "
            "names one row. Nothing is released. Name the keys of other rows, or correct the "
            "source and ingest the window again."
        )


def keys_of(text: str | Iterable[str] | None) -> frozenset[str]:
    """Read keys: a list, or a text with commas between them. `|` joins the parts of a compound key."""
    given = text.split(",") if isinstance(text, str) else text or ()
    return frozenset(each.strip() for each in given if each.strip())
