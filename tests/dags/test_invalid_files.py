"""A file with a problem shows itself as a DAG, and hides no other."""

from pathlib import Path
from typing import Any

import pytest

from keepfit.airflow import project_dags
from keepfit.errors import SpecError

GOOD = {
    "orders__ingest",
    "spending__ingest",
    "returns__train",
    "returns__predict",
    "returns__monitor",
    "returns__release",
    "returns__replay",
    "keepfit__apply",
    "keepfit__sweep",
    "keepfit__incident",
}


def spoil(root: Path, file: str, old: str, new: str) -> None:
    path = root / "feature_repo" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def failure(dag: Any) -> str:
    (task,) = dag.tasks
    with pytest.raises(SpecError) as failed:
        task.python_callable(**task.op_kwargs) if task.op_kwargs else task.python_callable(*task.op_args)
    return str(failed.value)


def test_a_bad_file_becomes_a_paused_dag_that_says_why(shop: Path) -> None:
    spoil(shop, "models/returns.yaml", "features:", "featuers:")
    dags = project_dags(shop)
    assert set(dags) == {
        "orders__ingest",
        "spending__ingest",
        "returns__invalid",
        "keepfit__apply",
        "keepfit__sweep",
        "keepfit__incident",
    }
    invalid = dags["returns__invalid"]
    assert invalid.is_paused_upon_creation
    assert invalid.doc_md is not None
    assert "`models/returns.yaml` **featuers** unknown field. Did you mean 'features'?" in invalid.doc_md
    assert "models/returns.yaml: featuers: unknown field. Did you mean 'features'?" in failure(invalid)


def test_a_transform_that_is_no_text_costs_its_own_dag_only(shop: Path) -> None:
    (shop / "feature_repo" / "transforms" / "spending.sql").write_bytes(b"\xff\xfe")
    dags = project_dags(shop)
    assert set(dags) == GOOD - {"spending__ingest"} | {"spending__invalid"}
    assert failure(dags["spending__invalid"]) == (
        "datasets/spending.yaml: transform: transforms/spending.sql is not UTF-8 text (byte 0). "
        "Save it as UTF-8."
    )


def test_two_bad_files_of_one_name_share_a_dag(shop: Path) -> None:
    spoil(shop, "models/returns.yaml", "features:", "featuers:")
    (shop / "feature_repo" / "datasets" / "returns.yaml").write_text("name: returns\n")
    text = failure(project_dags(shop)["returns__invalid"])
    assert "models/returns.yaml: featuers" in text
    assert "datasets/returns.yaml: " in text


def test_a_file_whose_name_is_no_dag_id_still_shows(shop: Path) -> None:
    (shop / "feature_repo" / "models" / "My model.yaml").write_text("name: my_model\n")
    dags = project_dags(shop)
    assert set(dags) == GOOD | {"My_model__invalid"}


def test_a_project_file_that_does_not_load_is_the_only_dag(shop: Path) -> None:
    spoil(shop, "keepfit.yaml", "database: sqlite", "databse: sqlite")
    dags = project_dags(shop)
    assert set(dags) == {"keepfit__invalid"}
    text = failure(dags["keepfit__invalid"])
    assert "keepfit.yaml: databse: unknown field. Did you mean 'database'?" in text


def test_a_spec_that_airflow_alone_refuses_shows_too(shop: Path) -> None:
    path = shop / "feature_repo" / "datasets" / "orders.yaml"
    path.with_name("context.yaml").write_text(path.read_text().replace("name: orders", "name: context"))
    dags = project_dags(shop)
    assert set(dags) == GOOD | {"context__invalid"}
    assert (
        "datasets/context.yaml: its DAG context__ingest cannot be built: prohibited name for asset"
        in failure(dags["context__invalid"])
    )
