"""Files only their owner may read: secrets, and the state of a running supervisor."""

import os
from pathlib import Path
from uuid import uuid4


def write_private(path: Path, text: str) -> None:
    """Write a file that others cannot read; readers see the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


def private_folder(path: Path) -> Path:
    """Make a folder that others cannot enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path
