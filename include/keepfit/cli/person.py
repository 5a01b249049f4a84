"""Whoever runs a command, as the ledger is to name them."""

import getpass
import os


def person() -> str:
    """Return their name, or their number where the system knows no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
