"""Programs of the supervisor: each in a session of its own, so that none of its children can be lost."""

import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "KEEPFIT_SUPERVISED_BY"
"""In the environment of every program the supervisor starts: the home it works for."""
_KILLED_WITHIN = 10.0
_LEADERS_END_WITHIN = 1.5
_QUIET_LOOKS = 3
_LONG_LOG = 20_000_000
_SAME_START = 5.0
"""Seconds by which one start may differ from itself: it is told relative to a clock that may be set."""


@dataclass(frozen=True)
class Started:
    """A process by its id and its start, since ids are used again."""

    pid: int
    at: float

    @classmethod
    def of(cls, pid: int) -> "Started":
        """Identify a process that runs now."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if (
                abs(process.create_time() - self.at) < _SAME_START
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                return process
        return None


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; what it writes goes to the end of a log file.

    A log that has grown long is put aside first, in place of the one put aside before.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LONG_LOG:
        os.replace(log, log.with_suffix(".old.log"))
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the supervisor's own programs
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(programs: Collection[Started], within: float) -> None:
    """Ask programs to end, then those of their children that work on, and kill what is left."""
    leaders = [process for program in programs if (process := program.process())]
    # The children come later: Airflow's triggerer hangs if its child goes first.
    for asked, patience in ((leaders, _LEADERS_END_WITHIN), (None, within)):
        left = session_members(programs) if asked is None else asked
        for process in left:
            _signal(process, signal.SIGTERM)
        _wait_until_gone(session_members(programs), patience)
    kill(session_members(programs))


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and wait until they are gone."""
    killed = list(processes)
    for process in killed:
        _signal(process, signal.SIGKILL)
    _wait_until_gone(killed, _KILLED_WITHIN)


def session_members(programs: Collection[Started]) -> list[psutil.Process]:
    """Find the programs and the children in their sessions, also where the program itself has died."""
    sessions = {program.pid: program for program in programs}
    found = []
    for process in _others():
        with suppress(OSError, psutil.Error):
            program = sessions.get(os.getsid(process.pid))
            if program and process.create_time() >= program.at - _SAME_START and not _reused(program):
                found.append(process)
    return found


def marked(home: Path) -> list[psutil.Process]:
    """Find every process that descends from a supervisor of a home, whatever session it is in."""
    found = []
    for process in _others():
        with suppress(OSError, psutil.Error):
            if process.environ().get(MARK) == str(home):
                found.append(process)
    return found


def kill_marked(home: Path) -> None:
    """Kill every process that descends from a supervisor of a home."""
    quiet, end = 0, time.monotonic() + _KILLED_WITHIN
    # A process that has just been started shows no environment yet, so one look is not enough.
    while quiet < _QUIET_LOOKS and time.monotonic() < end:
        found = marked(home)
        kill(found)
        quiet = 0 if found else quiet + 1
        time.sleep(0.02)


def _reused(program: Started) -> bool:
    """Tell whether another process has a dead program's id by now."""
    try:
        return abs(psutil.Process(program.pid).create_time() - program.at) >= _SAME_START
    except psutil.NoSuchProcess:
        return False


def _others() -> Iterator[psutil.Process]:
    """Go through all living processes but this one and those it descends from."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return (process for process in psutil.process_iter() if process.pid not in own and _works(process))


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _wait_until_gone(processes: Sequence[psutil.Process], within: float) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end and any(_works(process) for process in processes):
        time.sleep(0.05)


def _works(process: psutil.Process) -> bool:
    """Tell whether a process does anything yet; in a container nobody may ever collect the dead."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
