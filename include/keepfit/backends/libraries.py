"""Which versions of what makes a training set or a model are installed."""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

MAKERS = (
    "keepfit",
    "deltalake",
    "duckdb",
    "feast",
    "lightgbm",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "skops",
    "xgboost",
)
"""Another version of one of these may give other bytes."""


def installed() -> dict[str, str]:
    """Return the versions of Python and the libraries that are installed, and the machine's kind."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for package in MAKERS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def differences(pinned: Mapping[str, str]) -> Iterator[str]:
    """Say which of the pinned versions is not the one installed."""
    now = installed()
    for name, was in pinned.items():
        if now.get(name) != was:
            yield f"{name} was {was} and is {now.get(name, 'not installed')}"
