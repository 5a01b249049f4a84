"""Keeps one model's line as registry and ledger want it, and serving what it has when they are away."""

import logging
import time
from dataclasses import dataclass
from datetime import datetime

from keepfit.errors import KeepfitError
from keepfit.serving.copies import Copies, LastLive, Loaded
from keepfit.serving.line import CHALLENGER, CHAMPION, Line
from keepfit.serving.loading import make_ready
from keepfit.serving.logs import Logs
from keepfit.serving.meters import Meters
from keepfit.serving.served import ServedModel
from keepfit.serving.version import ServedVersion
from keepfit.serving.wanted import Pointers, Wanted
from keepfit.spec import ServingSpec

_LONGEST_WAIT = 60.0
_log = logging.getLogger(__name__)


@dataclass
class _Failed:
    """A version that did not load, why, and when it is tried again."""

    version: str
    reason: str
    tries: int
    again: float


class Keeper:
    """Loads versions and swaps them in; called from one thread, again and again."""

    def __init__(
        self,
        *,
        served: ServedModel,
        pointers: Pointers,
        copies: Copies,
        logs: Logs,
        settings: ServingSpec,
        meters: Meters,
    ) -> None:
        """Begin without a version."""
        self.served = served
        self._pointers, self._copies, self._logs = pointers, copies, logs
        self._settings, self._meters = settings, meters
        self._failed: dict[str, _Failed] = {}

    def refresh(self) -> None:
        """Look who should answer, and see to it; whatever goes wrong, whoever answers goes on."""
        self.served.look_up.try_again()
        try:
            problems = self._follow(self._pointers.wanted(self.served.name))
        except Exception as error:  # noqa: BLE001 - a database or a network fails in many ways
            problems = [_line_of(error), self._recall()]
        problems.append(self._logs.tell(self._meters))
        told = " ".join(each for each in problems if each) or None
        if told != self.served.problem:
            _log.log(
                logging.WARNING if told else logging.INFO, "%s: %s", self.served.name, told or "all is well"
            )
        self._meters.problem(self.served.name, told is not None)
        self.served.problem = told

    def _follow(self, wanted: Wanted) -> list[str | None]:
        """Load who should answer and swap him in; return what is wrong."""
        name = self.served.name
        if wanted.champion is None:
            if (line := self.served.line) is None:
                return [f"{name} has no champion yet. Train and release one.", wanted.problem]
            goes_on = f"version {line.champion.version} goes on serving"
            return [f"The registry names no champion of {name}; {goes_on}.", wanted.problem]
        champion = self._version(CHAMPION, wanted.champion)
        recalled = self._recall() if champion is None and self.served.line is None else None
        challenger = self._version(CHALLENGER, wanted.challenger) if wanted.challenger else None
        self._swap(wanted, champion, challenger)
        wished = {CHAMPION: wanted.champion, CHALLENGER: wanted.challenger}
        failed = [each.reason for role, each in self._failed.items() if each.version == wished[role]]
        return [*failed, recalled, wanted.problem]

    def _swap(self, wanted: Wanted, champion: ServedVersion | None, challenger: ServedVersion | None) -> None:
        """Put what is loaded into place; a champion that did not load leaves the one before."""
        before = self.served.line
        kept = champion or (before.champion if before else None)
        if kept is None:
            return
        since = wanted.since if champion else None
        if before and before.champion is kept:
            since = since or before.since
        beside = None if challenger is kept else challenger
        self._put(Line(kept, since, beside, self._share(wanted, before) if beside else 0.0))

    def _share(self, wanted: Wanted, line: Line | None) -> float:
        """Return the challenger's share; while the ledger is away, the one it had, or none."""
        if wanted.share is not None:
            return wanted.share
        same = line and line.challenger and line.challenger.version == wanted.challenger
        return line.share if line and same else 0.0

    def _version(self, role: str, version: str) -> ServedVersion | None:
        """Return a version that is loaded already, or load it; None where it does not load."""
        if loaded := self._loaded(version):
            self._failed.pop(role, None)
            return loaded
        failed = self._failed.get(role)
        if failed and failed.version == version and time.monotonic() < failed.again:
            return None
        try:
            made = self._made(version, self._copies.fetch(self._pointers.registry, version))
        except Exception as error:  # noqa: BLE001 - whoever answers goes on, and the reason is told
            tries = failed.tries + 1 if failed and failed.version == version else 1
            wait = min(self._settings.poll_seconds * 2**tries, _LONGEST_WAIT)
            reason = f"Version {version} does not load as {role}: {_line_of(error)}"
            self._failed[role] = _Failed(version, reason, tries, time.monotonic() + wait)
            self._meters.load_failed(self.served.name)
            _log.log(
                logging.ERROR,
                "%s: %s",
                self.served.name,
                reason,
                exc_info=not isinstance(error, KeepfitError),
            )
            return None
        self._failed.pop(role, None)
        return made

    def _loaded(self, version: str) -> ServedVersion | None:
        line = self.served.line
        there = (line.champion, line.challenger) if line else ()
        return next((each for each in there if each and each.version == version), None)

    def _made(self, version: str, loaded: Loaded) -> ServedVersion:
        self.served.look_up.prepare()
        return make_ready(self.served.name, version, loaded, self._settings, self._logs)

    def _put(self, line: Line) -> None:
        """Let a line answer from now on: one assignment, which a request sees or does not."""
        if line == self.served.line:
            return
        self.served.line = line
        live = {CHAMPION: line.champion.version}
        if line.challenger:
            live[CHALLENGER] = line.challenger.version
        self._meters.swapped(self.served.name, live)
        since = line.since.isoformat() if line.since else None
        self._copies.remember(LastLive(line.champion.version, since, live.get(CHALLENGER), line.share))
        _log.info("%s is answered by %s", self.served.name, live)

    def _recall(self) -> str | None:
        """Begin with who was live last, if nobody answers; say so."""
        if self.served.line is not None:
            return f"Version {self.served.line.champion.version} goes on serving."
        if (last := self._copies.recall()) is None:
            return "Nothing was served here before."
        try:
            champion = self._made(last.champion, self._copies.read(last.champion))
        except Exception as error:  # noqa: BLE001 - without a copy there is nobody to answer, and that is told
            return f"The last champion's copy does not load: {_line_of(error)}"
        challenger, problem = self._recalled_challenger(last)
        since = datetime.fromisoformat(last.since) if last.since else None
        self._put(Line(champion, since, challenger, last.share if challenger else 0.0))
        return f"Serving what was live last: version {last.champion}.{problem}"

    def _recalled_challenger(self, last: LastLive) -> tuple[ServedVersion | None, str]:
        """Return the last challenger, or none and why: the champion answers without him."""
        if last.challenger is None:
            return None, ""
        try:
            return self._made(last.challenger, self._copies.read(last.challenger)), ""
        except Exception as error:  # noqa: BLE001 - a challenger does no harm
            return None, f" The last challenger's copy does not load: {_line_of(error)}"


def _line_of(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text if isinstance(error, KeepfitError) else f"{type(error).__name__}: {text.splitlines()[0]}"
