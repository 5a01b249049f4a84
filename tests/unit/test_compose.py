"""`docker-compose.yaml` without an engine: structure, secrets, and settings against those of `keepfit up`."""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from keepfit.embedded.credentials import credentials
from keepfit.embedded.ports import Ports
from keepfit.embedded.settings import BUNDLE, PRELOAD, SHARED, airflow_environment, bundle, pools
from keepfit.embedded.stores import DATABASES
from keepfit.spec import Locations, ProjectSpec

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENVIRONMENT: dict[str, str] = COMPOSE["x-airflow-environment"]
AIRFLOW = [name for name in SERVICES if name.startswith("airflow-")]

KEYS = {
    "build", "command", "configs", "depends_on", "environment", "healthcheck", "image", "ports", "restart",
    "stop_grace_period", "volumes",
}  # fmt: skip
OF_ONE_MACHINE = {
    # Where one machine's home, ports, executor and login differ from a cluster's.
    "AIRFLOW_HOME",
    "AIRFLOW__CORE__PARALLELISM",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    "AIRFLOW__API__HOST",
    "AIRFLOW__API__PORT",
    "AIRFLOW__SCHEDULER__MP_START_METHOD",
    "AIRFLOW__CORE__MP_FORKSERVER_PRELOAD",
    "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY",
    "KEEPFIT_LAKE",
    "KEEPFIT_FEAST_ONLINE",
}
OF_A_CLUSTER = {
    "AIRFLOW__CORE__AUTH_MANAGER",
    "KEEPFIT_SERVING_TOKEN",
    "AIRFLOW__CELERY__BROKER_URL",
    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
    "AIRFLOW__CELERY__RESULT_BACKEND",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY",
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK",
}


def texts(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def embedded(tmp_path: Path) -> dict[str, str]:
    locations = Locations.resolve(ProjectSpec(project="shop"), tmp_path, {})
    keys = credentials(tmp_path / ".keepfit")
    return airflow_environment(locations, "postgresql://x/airflow", Ports(8101, 8102), keys, slots=4)


def test_both_profiles_share_the_settings_of_one_place(tmp_path: Path) -> None:
    assert {name: ENVIRONMENT[name] for name in SHARED} == SHARED
    assert {name: embedded(tmp_path)[name] for name in SHARED} == SHARED


def test_no_setting_is_in_one_profile_only_by_oversight(tmp_path: Path) -> None:
    assert set(embedded(tmp_path)) - set(ENVIRONMENT) == OF_ONE_MACHINE
    assert set(ENVIRONMENT) - set(embedded(tmp_path)) == OF_A_CLUSTER


def test_the_bundle_is_the_same_and_lies_where_the_project_is_mounted(tmp_path: Path) -> None:
    (tmp_path / ".airflowignore").touch()
    [described] = json.loads(ENVIRONMENT["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert described == bundle(tmp_path) | {"kwargs": {"path": "/opt/keepfit/project"}}
    assert described["name"] == BUNDLE
    for name in [*AIRFLOW, "init"]:
        assert "${KEEPFIT_PROJECT:-.}:/opt/keepfit/project:ro" in SERVICES[name]["volumes"]


def test_workers_preload_what_embedded_tasks_fork_from() -> None:
    assert json.loads(ENVIRONMENT["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"]) == {"imports": [PRELOAD]}
    assert find_spec(PRELOAD)


def test_every_secret_is_required_and_none_has_a_default() -> None:
    secret = re.compile(r"PASSWORD|SECRET|FERNET|ADMIN|TOKEN")
    variables = [found for text in texts(COMPOSE) for found in re.findall(r"(?<!\$)\$\{(\w+)(.*?)\}", text)]
    required = {name for name, rest in variables if rest.startswith(":?")}
    assert required == {name for name, _ in variables if secret.search(name)}
    assert {(name, rest) for name, rest in variables if name not in required} == {
        ("AIRFLOW_PORT", ":-8080"),
        ("MLFLOW_PORT", ":-5000"),
        ("SERVING_PORT", ":-8090"),
        ("KEEPFIT_PROJECT", ":-."),
    }
    for name, rest in variables:
        assert name not in required or rest == f":?set {name} in .env"


def test_the_example_of_env_names_every_secret_and_gives_none() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yaml").read_text()))
    assert set(given) == asked
    assert set(given.values()) == {""}


def test_a_url_holds_a_password_only_from_the_environment() -> None:
    urls = [text for text in texts(COMPOSE) if re.search(r"://[^/]*@", text)]
    assert len(urls) >= 6
    assert all(re.search(r"://\w*:\$\{\w+_PASSWORD:\?[^}]+\}@", url) for url in urls)


def test_ports_are_published_on_loopback_only_and_only_those_people_and_callers_use() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "airflow-apiserver": ["127.0.0.1:${AIRFLOW_PORT:-8080}:8080"],
        "mlflow": ["127.0.0.1:${MLFLOW_PORT:-5000}:5000"],
        "serving": ["127.0.0.1:${SERVING_PORT:-8090}:8090"],
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_only_what_compose_knows(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= KEYS
    assert service["image"]
    for part in service.get("depends_on", {}):
        assert part in SERVICES
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert source.startswith("$") or source in COMPOSE["volumes"]
    for config in service.get("configs", ()):
        assert config["source"] in COMPOSE["configs"]
    assert all(isinstance(value, str) for value in service["environment"].values())


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "init"])
def test_a_service_that_stays_can_tell_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", [*AIRFLOW, "mlflow"])
def test_nothing_parallel_starts_before_everything_is_migrated(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}


def test_the_first_service_makes_what_the_others_need() -> None:
    script = SERVICES["init"]["command"][-1]
    assert script.splitlines()[0] == "airflow db migrate"
    assert "python -m keepfit.embedded.prepare /opt/keepfit/project" in script
    for pool, definition in pools(4).items():
        assert f'airflow pools set {pool} {definition["slots"]} "{definition["description"]}"' in script
    made = set(re.findall(r"CREATE DATABASE (\w+);", COMPOSE["configs"]["databases"]["content"]))
    assert made | {SERVICES["postgres"]["environment"]["POSTGRES_DB"]} == {*DATABASES.values(), "airflow"}
    for variable, database in DATABASES.items():
        assert ENVIRONMENT[variable].endswith(f"@postgres/{database}")


def test_airflow_runs_the_components_that_keepfit_up_runs() -> None:
    assert {SERVICES[name]["command"][-1] for name in AIRFLOW} == {
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "worker",
    }


def test_mlflow_answers_to_its_services_name() -> None:
    assert "--allowed-hosts=mlflow:*,localhost:*,127.0.0.1:*" in SERVICES["mlflow"]["command"]


def test_the_image_holds_the_locked_packages_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert any("pip install" in line and "--require-hashes" in line for line in lines)
    assert "USER keepfit" in lines
    assert lines.index("USER keepfit") > max(number for number, line in enumerate(lines) if "RUN" in line)
