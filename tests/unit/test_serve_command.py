"""`keepfit serve` before it serves: what it refuses, and what it would do."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from keepfit.cli.app import app
from keepfit.errors import SpecError
from keepfit.serving.start import refuse_open
from keepfit.spec import ServingSpec, load_project

NO_PLACE = (
    "is no place for the log. Write a bucket with a folder in it, such as s3://bucket/folder, or a path "
    "relative to the project's root; credentials belong into `log_connection` or the environment"
)


def keepfit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new") / "shop"
    assert keepfit("new", folder).exit_code == 0
    path = folder / "feature_repo" / "keepfit.yaml"
    path.write_text(path.read_text().replace("database: embedded", "database: sqlite"))
    return folder


def test_a_model_that_does_not_exist_is_not_served(shop: Path) -> None:
    done = keepfit("serve", "return", "--root", shop)
    assert done.exit_code == 1
    assert "No model is named 'return'. Did you mean 'returns'? There are: returns." in done.output


def test_a_port_out_of_range_is_a_usage_error(shop: Path) -> None:
    assert keepfit("serve", "--port", "99999", "--root", shop).exit_code == 2


def test_listening_beyond_this_machine_needs_a_token_or_leave(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEEPFIT_SERVING_TOKEN", raising=False)
    done = keepfit("serve", "--host", "0.0.0.0", "--root", shop)  # noqa: S104 - it is refused
    assert done.exit_code == 1
    assert done.output == (
        "serving.host is 0.0.0.0: everybody who reaches this machine could ask. Set "
        "KEEPFIT_SERVING_TOKEN in the environment, or `serving.open_to_all: true` "
        "in feature_repo/keepfit.yaml.\n"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::", "example.org"])  # noqa: S104 - names only
def test_which_hosts_are_beyond_this_machine(host: str) -> None:
    with pytest.raises(SpecError, match=r"everybody who reaches this machine could ask"):
        refuse_open(ServingSpec(host=host), None)
    refuse_open(ServingSpec(host=host), "token")
    refuse_open(ServingSpec(host=host, open_to_all=True), None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_which_hosts_are_this_machine(host: str) -> None:
    refuse_open(ServingSpec(host=host), None)


def test_the_settings_of_a_project_are_checked(shop: Path) -> None:
    path = shop / "feature_repo" / "keepfit.yaml"
    sound = path.read_text()
    try:
        for wrong, said in (
            (
                "{urls: [localhost:8090]}",
                "'localhost:8090' is no URL. Write it whole, such as http://127.0.0.1:8090",
            ),
            ("{models: [a, a]}", "`models` names one twice. Name each once"),
            ("{workers: 0}", "must be at least 1"),
            ("{log_to: gs://logs}", f"serving.log_to: {NO_PLACE}"),
            ("{log_to: s3://Lake}", f"serving.log_to: {NO_PLACE}"),
            ("{log_to: 's3://key:secret@lake/live'}", f"serving.log_to: {NO_PLACE}"),
            ("{log_to: ''}", f"serving.log_to: {NO_PLACE}"),
            ("{log_to: logs, log_connection: s3}", "`log_connection` is for a log on S3. Set `log_to: s3://"),
            ("{prot: 1}", "unknown field. Did you mean 'port'?"),
        ):
            path.write_text(f"{sound}serving: {wrong}\n")
            with pytest.raises(SpecError) as refused:
                load_project(shop)
            assert said in str(refused.value)
            assert "secret" not in str(refused.value)
    finally:
        path.write_text(sound)
