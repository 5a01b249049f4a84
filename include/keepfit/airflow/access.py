"""Airflow's connections, handed to sources that know nothing of Airflow."""

from typing import Any

from keepfit.errors import SourceError
from keepfit.plugins import Access

# How SQLAlchemy calls what Airflow calls a connection's type, where the two differ.
_DIALECTS = {"postgres": "postgresql", "mssql": "mssql+pymssql", "redshift": "postgresql"}
_OWN_EXTRAS = ("__extra__", "sqlalchemy_scheme")


def airflow_access() -> Access:
    """Reach databases and S3 by the ids of Airflow's connections."""
    return Access(url=sql_url, storage=storage_options)


def sql_url(connection_id: str) -> str:
    """Turn a connection into a SQLAlchemy URL; its extras become the URL's query.

    The extra `sqlalchemy_scheme` names another dialect or driver, such as `mysql+pymysql`.
    """
    from sqlalchemy import URL

    found = _connection(connection_id)
    extras = {name: str(value) for name, value in found.extra_dejson.items()}
    dialect = extras.get("sqlalchemy_scheme") or _DIALECTS.get(found.conn_type, found.conn_type)
    query = {name: value for name, value in extras.items() if name not in _OWN_EXTRAS}
    if dialect == "sqlite":
        # Airflow splits a URI's path off the host, a form keeps it in the host.
        return URL.create("sqlite", database=found.schema or found.host, query=query).render_as_string()
    url = URL.create(dialect, found.login, found.password, found.host, found.port, found.schema, query)
    return url.render_as_string(hide_password=False)


def storage_options(connection_id: str | None) -> dict[str, Any]:
    """Turn a connection of the Amazon provider into fsspec's options.

    None means the machine's own credentials.
    """
    if connection_id is None:
        return {}
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    _connection(connection_id)  # The hook takes an unknown id for "no connection" and goes on.
    hook: Any = AwsGenericHook(aws_conn_id=connection_id, client_type="s3")
    credentials = hook.get_credentials()
    options = {
        "key": credentials.access_key,
        "secret": credentials.secret_key,
        "token": credentials.token,
        "endpoint_url": hook.conn_config.get_service_endpoint_url("s3"),
        "region": hook.region_name,
    }
    return {name: value for name, value in options.items() if value}


def _connection(connection_id: str) -> Any:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        raise SourceError(
            f"Airflow has no connection {connection_id!r}. Add it (`airflow connections add`, "
            f"the UI's Admin > Connections, or AIRFLOW_CONN_{connection_id.upper()}), "
            "or correct its name in the spec."
        ) from None
