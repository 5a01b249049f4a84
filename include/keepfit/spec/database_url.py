"""Is a text a URL with which a store can be opened? None of it is told: it may hold a password."""

from urllib.parse import urlsplit

_HIGHEST_PORT = 65_535
_NO_HOST = (
    "has no host and port that can be read. Write host:5432 or [::1]:5432, "
    "and in a user or password %40 for @ and %5B for [."
)


def store_problem(url: str) -> str | None:
    """Say what is wrong with the URL of a store, which is a database or a server's `http://` address."""
    if not url.startswith(("http://", "https://")):
        return url_problem(url)
    try:
        parts = urlsplit(url)
        wrong = not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    return "names no server that can be read. Write http://host:5000." if wrong else None


def url_problem(url: str) -> str | None:
    """Say what is wrong with a SQLAlchemy URL, if anything is."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
        parsed.get_dialect().import_dbapi()
    except ArgumentError:
        return (
            "is no SQLAlchemy URL of a database known here. "
            "Write postgresql+psycopg2://user:password@host:5432/database or sqlite:////a/file.db."
        )
    except ValueError:
        return (
            _NO_HOST  # SQLAlchemy's own text quotes the port, a piece of the password where that holds an @.
        )
    except ModuleNotFoundError as error:
        return (
            f"needs the Python package {error.name!r}, which is not installed. "
            "Install it, or name another driver."
        )
    if parsed.get_backend_name() == "sqlite" and parsed.host:
        return "names a host, which SQLite has none of. Write sqlite:////a/file.db, with four slashes."
    odd = (parsed.host or "").startswith("[") or not 0 <= (parsed.port or 0) <= _HIGHEST_PORT
    return _NO_HOST if odd else None
