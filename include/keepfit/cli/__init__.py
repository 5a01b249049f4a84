"""The `keepfit` command: what a user does outside Airflow.

Belongs here: options, texts on the terminal, exit codes. Does not belong here: how anything is done.
Heavy libraries are imported by the command that needs them, so that `keepfit check` answers at once.
"""
