"""The embedded profile: one machine, one command, no server to install.

Belongs here: the project's own PostgreSQL, the supervisor that starts, watches and stops Airflow and MLflow,
the settings they run with (shared with `docker-compose.yaml`), and a client of Airflow's REST API.
Does not belong here: anything a pipeline step does.
"""
