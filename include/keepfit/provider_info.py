"""What Airflow asks of a provider first.

This module must import nothing, and none of its parents may import Airflow: Airflow reads it while
its own configuration is half loaded, and any import of Airflow here would kill every `airflow` command.
"""


def get_provider_info() -> dict[str, object]:
    """Describe the package to Airflow."""
    return {
        "package-name": "keepfit",
        "name": "keepfit",
        "description": "Keeps your models fit: the closed training loop, from one YAML file per model.",
    }
