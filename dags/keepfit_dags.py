"""Every dataset and model under feature_repo/ becomes its Airflow DAGs."""

from pathlib import Path

from keepfit.airflow import project_dags

globals().update(project_dags(Path(__file__).parents[1]))
