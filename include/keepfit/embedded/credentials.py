"""The login and the keys of the embedded Airflow: random, made once, kept under the home."""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keepfit.embedded.private import private_folder, write_private

USER = "admin"


@dataclass(frozen=True)
class Credentials:
    """What guards one project's Airflow."""

    fernet_key: str
    jwt_secret: str
    secret_key: str
    passwords: Path
    """Airflow's own file of users and passwords."""

    @property
    def password(self) -> str:
        """The password of `USER`."""
        return str(json.loads(self.passwords.read_text())[USER])


def credentials(home: Path) -> Credentials:
    """Read a home's keys and login; make those that are missing."""
    folder = private_folder(home / "secrets")
    return Credentials(
        fernet_key=_kept(folder / "fernet_key", lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode()),
        jwt_secret=_kept(folder / "jwt_secret", lambda: secrets.token_hex(64)),
        secret_key=_kept(folder / "secret_key", lambda: secrets.token_hex(32)),
        passwords=_passwords(folder / "passwords.json"),
    )


def _kept(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        write_private(path, make())
    return path.read_text()


def _passwords(path: Path) -> Path:
    known = json.loads(path.read_text()) if path.exists() and path.stat().st_size else {}
    if USER not in known:
        write_private(path, json.dumps(known | {USER: secrets.token_urlsafe(12)}))
    return path
