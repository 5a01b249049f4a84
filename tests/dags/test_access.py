"""Airflow's connections reach sources as URLs and options."""

import json

import pytest
from sqlalchemy import make_url

from keepfit.airflow.access import airflow_access
from keepfit.errors import SourceError


def connect(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(fields))


def test_a_postgres_connection_becomes_a_url_for_sqlalchemy(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(
        monkeypatch,
        conn_type="postgres",
        host="db",
        port=5433,
        login="me@work",
        password="p/w:?",  # noqa: S106
        schema="sales",
        extra={"sslmode": "require"},
    )
    url = make_url(airflow_access().url("shop"))
    assert (url.drivername, url.host, url.port, url.database) == ("postgresql", "db", 5433, "sales")
    assert (url.username, url.password, dict(url.query)) == ("me@work", "p/w:?", {"sslmode": "require"})


def test_an_extra_names_another_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, conn_type="mysql", host="db", extra={"sqlalchemy_scheme": "mysql+pymysql"})
    assert airflow_access().url("shop") == "mysql+pymysql://db"


@pytest.mark.parametrize(
    "connection", ["sqlite:////data/shop.db", '{"conn_type": "sqlite", "host": "/data/shop.db"}']
)
def test_a_sqlite_file_is_found_however_it_was_written(
    monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", connection)
    assert airflow_access().url("shop") == "sqlite:////data/shop.db"


def test_an_amazon_connection_becomes_storage_options(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(
        monkeypatch,
        conn_type="aws",
        login="key",
        password="secret",  # noqa: S106
        extra={"endpoint_url": "http://localhost:5000", "region_name": "eu-central-1"},
    )
    assert airflow_access().storage("shop") == {
        "key": "key",
        "secret": "secret",
        "endpoint_url": "http://localhost:5000",
        "region": "eu-central-1",
    }


def test_no_connection_means_the_machine_s_own_credentials() -> None:
    assert airflow_access().storage(None) == {}


@pytest.mark.parametrize("kind", ["url", "storage"])
def test_an_unknown_connection_says_how_to_add_it(kind: str) -> None:
    with pytest.raises(
        SourceError, match=r"^Airflow has no connection 'nowhere'\. Add it \(`airflow connections add"
    ):
        getattr(airflow_access(), kind)("nowhere")
