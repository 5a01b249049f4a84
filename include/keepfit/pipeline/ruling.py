"""Rule on rows in quarantine: release them into their window, or drop them for good."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keepfit.errors import ConfError
from keepfit.ledger import Ledger, Ruling
from keepfit.pipeline.set_aside import quarantine_table
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import Locations, Window
from keepfit.spec.project import EngineSpec

if TYPE_CHECKING:
    from keepfit.backends.held_rows import HeldRow, HeldRows

ACTIONS: Mapping[str, Literal["released", "dropped"]] = {"release": "released", "drop": "dropped"}
_KEY = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^,]*))\s*(?:,|$)')
_NAMED = 10


@contextmanager
def held(
    dataset: str, locations: Locations, window: Window | None, *, bounds: EngineSpec, scratch: Path
) -> Iterator["HeldRows"]:
    """Lend a dataset's rows in quarantine; those of a window, if one is given."""
    from keepfit.backends.held_rows import held_rows
    from keepfit.backends.lake import Lake

    lake, table = Lake(locations.lake), quarantine_table(dataset)
    files = lake.files(table) if lake.exists(table) else []
    ruled = Ledger(locations.ledger_url).ruled(dataset)
    with held_rows(files, ruled, window, bounds=bounds, scratch=scratch) as rows:
        yield rows


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
        taken, ruling = self._snapshot, self._ruling()
        keys = keys_of(taken.settings.get("keys"))
        with (
            taken.folder.scratch("rule") as scratch,
            held(
                taken.the_dataset.name,
                taken.locations,
                taken.the_window,
                bounds=taken.project.engine,
                scratch=scratch,
            ) as rows,
        ):
            meant = rows.of(keys)
            self._refuse_unknown(meant.unknown())
            if ruling == "released":
                self._refuse_doubles(meant.doubled(_NAMED))
            again = meant.were_released or (ruling == "released" and meant.count() > 0)
            other: Literal["released", "dropped"] = "dropped" if ruling == "released" else "released"
            changed = meant.in_state("pending", *([other] if keys else []))
            ruled = Ledger(taken.locations.ledger_url).rule(self._record(each, ruling) for each in changed)
        return taken.folder.write("rule", {"ruling": ruling, "rows": ruled, "again": again})

    def _ruling(self) -> Literal["released", "dropped"]:
        action = str(self._snapshot.settings.get("action"))
        if action not in ACTIONS:
            raise ConfError(f"action is {action!r}. Give one of: {', '.join(ACTIONS)}.")
        return ACTIONS[action]

    def _refuse_unknown(self, keys: list[str]) -> None:
        dataset = self._snapshot.the_dataset.name
        if keys:
            raise ConfError(
                f"No row of {dataset} with the key {_listed(keys)} is in quarantine in "
                f"{self._snapshot.the_window.key}. `keepfit quarantine {dataset}` lists those that are. "
                "By REST, a key with a comma is written in double quotes."
            )

    def _refuse_doubles(self, keys: list[str]) -> None:
        """Refuse rows of one key, before anything is recorded: a published window has each key once."""
        if keys:
            raise ConfError(
                f"{_listed(keys)}: more than one row of {self._snapshot.the_dataset.name} in quarantine "
                "has this key, and a key names one row. Nothing is released. Name the keys of other rows, or "
                "correct the source and ingest the window again."
            )

    def _record(self, row: "HeldRow", ruling: Literal["released", "dropped"]) -> Ruling:
        name, who = self._snapshot.the_dataset.name, self._snapshot.settings.get("who") or "airflow"
        return Ruling(name, row.key, row.digest, row.window, ruling, str(who), self._snapshot.run_id)


def keys_of(given: str | Iterable[str] | None) -> frozenset[str]:
    """Read keys: a list, or a text with commas between them. `|` joins the parts of a compound key.

    In a text, a key with a comma or with spaces at its ends is written in double quotes, and a double quote
    within it twice; the empty key is two double quotes. Nothing and a blank text name no key.

    Raises:
        ConfError: There is more than that, but no key.
    """
    if given is None or (isinstance(given, str) and not given.strip()):
        return frozenset()
    keys = _keys_in(given) if isinstance(given, str) else frozenset(given)
    if not keys:
        raise ConfError(f'keys is {given!r}, which names no key. Leave it out, or write the empty key as "".')
    return keys


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(each or '""' for each in keys)


def _keys_in(text: str) -> frozenset[str]:
    found = list(_KEY.finditer(text))
    quoted = (each["quoted"].replace('""', '"') for each in found if each["quoted"] is not None)
    plain = (each["plain"].strip() for each in found if each["quoted"] is None)
    return frozenset([*quoted, *(each for each in plain if each)])
