"""What people do with a supervisor: `up`, `down`, `status`."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from keepfit.embedded.components import PYTHON
from keepfit.embedded.crew import clear_up
from keepfit.embedded.locks import Lock, is_held
from keepfit.embedded.postgres import Postgres
from keepfit.embedded.processes import start
from keepfit.embedded.settings import process_environment
from keepfit.embedded.status import Status, lock_path, read_status, write_status
from keepfit.embedded.supervise import Supervisor
from keepfit.errors import EmbeddedError
from keepfit.spec import load_project

_UP_WITHIN = 600.0
_DOWN_WITHIN = 60.0
_TICK = 0.1


def up(root: Path, foreground: bool = False, on_progress: Callable[[str], None] = print) -> Status:
    """Start Airflow, MLflow and the databases of a project and wait until all are healthy.

    A supervisor that runs already is joined. With `foreground`, this process supervises until interrupted.

    Raises:
        EmbeddedError: Something does not start; the text ends with its log.
    """
    project = load_project(root)
    home = project.locations.home
    if foreground:
        Supervisor(project, on_progress).run()
        return read_status(home)
    while read_status(home).phase == "stopping":
        time.sleep(_TICK)
    if is_held(lock_path(home)):
        return _wait_until_up(home, None, on_progress)
    log = home / "logs" / "supervisor.log"
    command = (*PYTHON, "keepfit.embedded.supervise", str(project.root))
    supervisor = start(command, process_environment({}), log, project.root)
    try:
        return _wait_until_up(home, supervisor, on_progress)
    except KeyboardInterrupt:
        on_progress("interrupted: stopping what was started")
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait()
        raise


def down(root: Path) -> None:
    """Stop everything of a project, also what a killed supervisor left behind; the database last.

    A database that another process of the project uses is stopped by that one when it ends.

    Raises:
        EmbeddedError: The supervisor does not stop.
    """
    home = load_project(root).locations.home
    if not home.exists():
        return
    with Lock(lock_path(home)) as lock:
        _end_supervisor(home, lock)
        left = clear_up(home)
        Postgres(home).stop_if_unused()
        stopped = tuple(replace(each, state="stopped", started=None) for each in left.components)
        write_status(replace(left, phase="stopped", doing="stopped", problem="", components=stopped))


def status(root: Path) -> Status:
    """Tell how a project's embedded profile is."""
    return read_status(load_project(root).locations.home)


def _wait_until_up(
    home: Path, started: subprocess.Popen[bytes] | None, on_progress: Callable[[str], None]
) -> Status:
    """Follow a supervisor until it is up; `started` is the one just started, whose end is noticed at once."""
    shown = ""
    end = time.monotonic() + _UP_WITHIN
    while time.monotonic() < end:
        ended = started.poll() is not None if started else not is_held(lock_path(home))
        now = read_status(home)
        its_own = started is None or (now.supervisor is not None and now.supervisor.pid == started.pid)
        if its_own and now.phase == "up":
            return now
        if ended:
            why = now.problem if its_own else ""
            raise EmbeddedError(why or f"The supervisor ended. Its log: {home}/logs/supervisor.log")
        if its_own and now.running and now.doing != shown:
            shown = now.doing
            on_progress(shown)
        time.sleep(_TICK)
    raise EmbeddedError(f"Not up after {_UP_WITHIN:.0f} s, still {shown!r}. Logs: {home}/logs")


def _end_supervisor(home: Path, lock: Lock) -> None:
    """Ask the supervisor to stop and take its lock."""
    end = time.monotonic() + _DOWN_WITHIN
    asked = False
    while not lock.try_take():
        running = read_status(home).supervisor
        process = running.process() if running else None
        if process and not asked:
            with suppress(ProcessLookupError):
                process.terminate()
            asked = True
        if time.monotonic() > end:
            raise EmbeddedError(
                f"The supervisor {running} does not stop. Look at {home}/logs/supervisor.log, then kill it."
            )
        time.sleep(_TICK)
