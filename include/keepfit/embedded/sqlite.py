"""How long Airflow waits for SQLite's one write lock, for its `sql_alchemy_connect_args`.

The API server blocks itself when a task writes while it logs a call (Airflow 3.3.2): it must give up soon and
answer 500, which a client tries again. The other processes end when they give up, so they wait long.
"""

import os

SECONDS = "KEEPFIT_SQLITE_TIMEOUT"
API_SERVER_SECONDS = "3"

CONNECT_ARGS = {"timeout": float(os.environ.get(SECONDS, "60"))}
