"""The project's own PostgreSQL: shared by whoever works on the project, stopped by the last to leave.

It listens on a Unix socket in a folder only its user can enter, and on no port. Everybody who uses it holds a
shared lock that the kernel takes back at death, so neither `kill -9` nor a crash leaves a count wrong.
"""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import getpwuid

import psutil

from keepfit.embedded.cluster import make_cluster, programs
from keepfit.embedded.locks import Lock, alone
from keepfit.errors import EmbeddedError

_LONGEST_SOCKET_FOLDER = 80
"""A socket's path may have about 100 characters; the rest is PostgreSQL's file name."""
_HELPERS_END_WITHIN = 10.0
_PLAIN = re.compile(r"[A-Za-z0-9/_.-]+")
_SETTINGS = ("max_connections=200", "jit=off", "log_checkpoints=off", "unix_socket_permissions=0700")


class Postgres:
    """One project's database server."""

    def __init__(self, home: Path) -> None:
        """Refer to a home's server, which need neither run nor exist."""
        self.data = home / "postgres"
        self.log = self.data / "log"
        self._change = home / "postgres.lock"
        self._use = home / "postgres.use.lock"

    @contextmanager
    def used(self) -> Iterator[None]:
        """Start the server or join the running one; stop it at the end unless others use it."""
        with Lock(self._use) as use:
            with alone(self._change):
                use.share()
                self._start()
            try:
                yield
            finally:
                with alone(self._change):
                    if use.try_take():
                        self._stop()

    def stop_if_unused(self) -> bool:
        """Stop a server whose users were all killed; tell whether none runs now."""
        with alone(self._change), Lock(self._use) as use:
            if use.try_take():
                self._stop()
        return self.pid() is None

    def restart_if_dead(self) -> bool:
        """Start the server again if it died; tell whether it had.

        Raises:
            EmbeddedError: Its data are gone. A new, empty database in their place would hide it.
        """
        if self.pid() is not None:
            return False
        if not self.data.exists():
            raise EmbeddedError(
                f"{self.data} was removed while its database ran. Put it back, or start anew."
            )
        with alone(self._change):
            self._start()
        return True

    def pid(self) -> int | None:
        """Return the process id of the running server."""
        with suppress(OSError, ValueError, IndexError):
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            # After a crash the file stays, and its number may be another process's by now.
            if _works_in(pid, self.data):
                return pid
        return None

    def url(self, database: str) -> str:
        """Return a database's SQLAlchemy URL."""
        return f"postgresql+psycopg2://postgres@/{database}?host={self.socket_folder()}"

    def socket_folder(self) -> Path:
        """Name the folder of the server's socket: its data folder, or a short one when that is too long."""
        if self.pid() is not None:
            return Path((self.data / "postmaster.pid").read_text().splitlines()[4])
        folder = str(self.data.resolve())
        if len(folder) <= _LONGEST_SOCKET_FOLDER and _PLAIN.fullmatch(folder):
            return Path(folder)
        digest = hashlib.sha256(folder.encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()).resolve() / f"keepfit-{os.geteuid()}-{digest}"

    def create(self, databases: Iterable[str]) -> None:
        """Create the databases that are missing."""
        import psycopg2

        connection = psycopg2.connect(user="postgres", dbname="postgres", host=str(self.socket_folder()))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT datname FROM pg_database")
                present = {name for (name,) in cursor.fetchall()}
                for name in databases:
                    if name not in present:
                        cursor.execute(f'CREATE DATABASE "{name}"')
        finally:
            connection.close()

    def _start(self) -> None:
        if self.pid() is not None:
            return
        make_cluster(self.data)
        self._clear_after_crash()
        options = " ".join(f"-c {setting}" for setting in _SETTINGS)
        options = f'-c listen_addresses="" -k {self._prepared_socket_folder()} {options}'
        try:
            self._control("-t", "120", "-l", str(self.log), "-o", options, "start")
        except EmbeddedError as error:
            raise EmbeddedError(f"{error}\nThe end of {self.log}:\n{self._last_words()}") from None

    def _clear_after_crash(self) -> None:
        """Remove a dead server's marks, after its helpers' end.

        PostgreSQL trusts a mark as long as any process has its number: another one, or in a container without
        an init the dead server itself.
        """
        mark = self.data / "postmaster.pid"
        end = time.monotonic() + _HELPERS_END_WITHIN
        while mark.exists() and (left := [pid for pid in psutil.pids() if _works_in(pid, self.data)]):
            if time.monotonic() > end:
                raise EmbeddedError(
                    f"A dead PostgreSQL left processes that do not end: {left}. Stop them, then try again."
                )
            time.sleep(0.1)
        for name in (".s.PGSQL.5432.lock", ".s.PGSQL.5432"):
            (self.socket_folder() / name).unlink(missing_ok=True)
        mark.unlink(missing_ok=True)

    def _stop(self) -> None:
        if self.pid() is None:
            return
        folder = self.socket_folder()
        self._control("-m", "fast", "stop")
        if folder != self.data.resolve():
            with suppress(OSError):
                folder.rmdir()

    def _control(self, *arguments: str) -> None:
        # Folders above may have been closed to others since.
        programs().own(self.data)
        programs().run("pg_ctl", "-s", "-w", "-D", str(self.data), *arguments)

    def _prepared_socket_folder(self) -> Path:
        folder = self.socket_folder()
        if folder != self.data.resolve():
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            # Whoever made this folder first could pose as the database: use none but one's own.
            if folder.is_symlink() or folder.owner() not in (programs().user, getpwuid(os.geteuid()).pw_name):
                raise EmbeddedError(
                    f"{folder} belongs to {folder.owner()}. Remove it, or set TMPDIR to a folder of yours."
                )
            programs().own(folder)
        return folder

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-15:]) if self.log.exists() else "(no log)"


def _works_in(pid: int, folder: Path) -> bool:
    with suppress(psutil.Error, OSError):
        return Path(psutil.Process(pid).cwd()) == folder.resolve()
    return False
