"""`python -m keepfit.embedded.scheduler`: Airflow's scheduler, whose tasks' libraries load while it starts.

Airflow starts the fork server with the first task, which then waits for ten seconds of imports.
"""

import runpy
import sys
from multiprocessing import forkserver

from keepfit.embedded.settings import PRELOAD


def main() -> None:
    """Start the fork server, then Airflow's scheduler with this process's arguments."""
    forkserver.set_forkserver_preload([PRELOAD])
    forkserver.ensure_running()
    sys.argv[1:1] = ["scheduler"]
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
