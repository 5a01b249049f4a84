"""Imports what programs under test need, once, and forks a process for each: `server.py SOCKET`.

Nothing here opens a database or a file, so that each fork is as fresh as a new interpreter.
"""

import gc
import json
import os
import runpy
import signal
import socket
import sys
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

FIRST = ("skops.io",)  # At import it asks every module there is for every function of scipy.special.
LAZY = (
    "feast.infra.online_stores.sqlite",
    "feast.infra.registry.sql",
    "lightgbm",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "plotly.graph_objs",
    "plotly.offline",
    "plotly.validators",
    "psycopg2",
    "sklearn.compose",
    "sklearn.linear_model",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "sqlglot.dialects.duckdb",
    "typer",
)
OURS = ("backends", "cli", "embedded", "ledger", "pipeline", "policy", "steps")


def warm_up() -> None:
    """Import it all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (*FIRST, *LAZY):
            with suppress(ImportError):
                import_module(name)
        for package in (f"keepfit.{name}" for name in OURS):
            for found in walk_packages(import_module(package).__path__, f"{package}."):
                if not found.name.startswith("keepfit.ledger.migrations"):
                    with suppress(ImportError):
                        import_module(found.name)
    gc.freeze()


def serve(path: str) -> None:
    """Fork for whoever asks."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        sys.stdout.write("warm\n")
        sys.stdout.flush()
        while True:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                attend(client)
            client.close()


def attend(client: socket.socket) -> None:
    """Fork the program, wait for its end, and tell of it."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    asked = json.loads(client.makefile().read())
    if (child := os.fork()) == 0:
        client.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        os._exit(run(asked["argv"]))
    for stream in streams:
        os.close(stream)
    _, status = os.waitpid(child, 0)
    client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def run(argv: list[str]) -> int:
    """Run `-c CODE ...` or `-m MODULE ...` as Python would, and return its exit code."""
    how, what, *arguments = argv
    sys.argv = [how if how == "-c" else what, *arguments]
    sys.path.insert(0, str(Path.cwd()))
    try:
        if how == "-c":
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - as Python does
        else:
            runpy.run_module(what, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - an interpreter shows whatever ends it
        traceback.print_exc()
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    return code


warm_up()
serve(sys.argv[1])
