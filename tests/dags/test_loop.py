"""The whole loop of a small shop, through its DAGs: ingest, train, predict, monitor, train again."""

from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import select

from keepfit.airflow import project_dags
from keepfit.cli.new import new
from keepfit.embedded.prepare import prepare
from keepfit.ledger import Ledger
from keepfit.spec import Window, load_project

if TYPE_CHECKING:
    from tests.dags.conftest import Run, RunDag

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Five libraries run whole here, each with its own.
]


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    """The project of `keepfit new`, on SQLite."""
    root = tmp_path / "shop"
    new(root)
    file = root / "feature_repo" / "keepfit.yaml"
    file.write_text(file.read_text().replace("database: embedded", "database: sqlite"))
    prepare(load_project(root))
    return root


SOMEONES = """
    from airflow.sdk import DAG
    from keepfit.airflow import DriftSensor

    with DAG("someones") as dag:
        for name, window in {windows!r}.items():
            DriftSensor(
                task_id=name, root={root!r}, model="returns", window=window, share=0.4, on_no_drift="skip"
            )
    """
WINTER, JUNE = ("2024-01-01", "2024-04-01"), ("2024-06-01", "2024-06-15")


def window(start: str, end: str) -> dict[str, str]:
    return {"window_start": f"{start}T00:00:00Z", "window_end": f"{end}T00:00:00Z"}


def events(asset: str) -> list[AssetEvent]:
    with create_session() as session:
        named = (
            select(AssetEvent)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetModel.uri == asset)
        )
        return list(session.scalars(named.order_by(AssetEvent.id)))


def test_what_a_step_warns_of_is_in_its_log(starter: Path, run_dag: "RunDag") -> None:
    ended = run_dag(starter, "orders__ingest", window("2020-01-01", "2020-01-02"))
    assert ended.state == "success", ended.log[-4000:]
    warned = [line for line in ended.log.splitlines() if "warning" in line.lower()]
    assert any("The source has no rows for this window." in line for line in warned), warned
    assert any("The window has no rows; it is published as empty." in line for line in warned), warned


def test_the_loop_closes(starter: Path, run_dag: "RunDag", monkeypatch: pytest.MonkeyPatch) -> None:
    def run(dag_id: str, conf: dict[str, Any] | None = None) -> "Run":
        ended = run_dag(starter, dag_id, conf)
        assert ended.state == "success", ended.log[-4000:]
        return ended

    ledger = Ledger(load_project(starter).locations.ledger_url)
    file = starter / "feature_repo" / "models" / "returns.yaml"
    file.write_text(f"{file.read_text()}watch: {{}}\n")

    # A published window says which it is, whoever listens.
    run("orders__ingest", window(*WINTER))
    assert events("x-keepfit://datasets/orders")[-1].partition_key == Window.parse(*WINTER).key

    # Without a champion there is nothing to predict with, and that is no failure.
    unpredicted = run("returns__predict", window("2024-03-01", "2024-03-08"))
    assert unpredicted.tasks["predict"] == "skipped"
    assert "no champion yet" in unpredicted.log
    assert events("x-keepfit://models/returns/predictions") == []

    # A training that is told no moment knows all that is published.
    first = run("returns__train")
    assert first.tasks["verify"] == "success"
    (training,) = ledger.trainings("returns")
    assert (training.as_of, training.verdict) == (Window.parse(*WINTER).end, "pass")
    assert len(events("x-keepfit://models/returns/champion")) == 1

    run("orders__ingest", window("2024-04-01", "2024-06-15"))
    run("returns__predict", window(*JUNE))
    assert [event.partition_key for event in events("x-keepfit://models/returns/predictions")] == [
        Window.parse(*JUNE).key
    ]

    # The change of 1 May calls for a training, once, however often the window is looked at.
    monitored, again = run("returns__monitor", window(*JUNE)), run("returns__monitor", window(*JUNE))
    assert monitored.tasks["trigger_training"] == "success"
    assert monitored.tasks["watch"] == "skipped"
    assert "no version was live before it" in monitored.log
    assert again.tasks["trigger_training"] == "skipped"
    (decision,) = ledger.decisions("returns")
    assert decision.verdict == "retrain"
    (started,) = DagRun.find(dag_id="returns__train", run_id=decision.run_id)

    # The training it starts takes what the decision hands on, under the decision's run id.
    conf = dict(started.conf or {})
    with create_session() as session:
        session.delete(session.merge(started))
    with monkeypatch.context() as patch:
        patch.setattr(DagRun, "generate_run_id", lambda **_: decision.run_id)
        run("returns__train", conf)
    assert ledger.trainings("returns")[-1].decision_key == decision.key
    assert ledger.trainings("returns")[-1].as_of == Window.parse(*JUNE).end

    # Predictions of a version that is not live, and a refresh of everything, wake nothing.
    old = {**window(*JUNE), "version": "1"}
    assert run("returns__predict", old).tasks["predict"] == "success"
    assert events("x-keepfit://models/returns/predictions")[-1].partition_key is None
    run("orders__ingest", {**window(*JUNE), "full_refresh": True})
    assert events("x-keepfit://datasets/orders")[-1].partition_key is None


def test_someone_s_dag_waits_for_drift(starter: Path, run_dag: "RunDag") -> None:
    same, changed = ("2024-04-01", "2024-04-15"), JUNE
    run_dag(starter, "orders__ingest", window("2024-01-01", "2024-06-15"))
    run_dag(starter, "returns__train", {"as_of": "2024-04-01T00:00:00Z"})
    for each in (same, changed):
        assert run_dag(starter, "returns__predict", window(*each)).tasks["predict"] == "success"
    windows = {"same": Window.parse(*same).key, "changed": Window.parse(*changed).key}
    text = dedent(SOMEONES).format(root=str(starter), windows=windows)
    (starter / "dags" / "someones.py").write_text(text)
    run = run_dag(starter, "someones")
    assert run.tasks == {"same": "skipped", "changed": "success"}
    assert "returns has not drifted in 20240401T000000Z_20240415T000000Z" in run.log


def test_a_training_that_fails_is_recorded_with_its_reason(starter: Path, run_dag: "RunDag") -> None:
    ledger = Ledger(load_project(starter).locations.ledger_url)

    def trained(conf: dict[str, str]) -> "Run":
        return run_dag(starter, "returns__train", conf)

    early = trained({})
    assert early.tasks["snapshot"] == "failed"
    assert "returns cannot be trained: nothing of orders is published. Run orders__ingest first." in early.log
    assert ledger.trainings("returns") == []

    run_dag(starter, "orders__ingest", window("2024-01-01", "2024-02-01"))
    failed = trained({"as_of": "2024-01-16T00:00:00Z", "reason": "too early"})
    (culprit,) = (task for task, state in failed.tasks.items() if state == "failed")
    (training,) = ledger.trainings("returns")
    assert (training.run_id, training.verdict, training.version) == (failed.run_id, "error", None)
    assert training.reasons[0].startswith(f"{culprit}: ")


def test_a_training_whose_process_was_killed_is_recorded_by_its_dag(starter: Path, run_dag: "RunDag") -> None:
    conf = {"as_of": "2024-04-01T00:00:00Z"}
    run = run_dag(starter, "returns__train", conf, only="snapshot")
    callback = project_dags(starter)["returns__train"].on_failure_callback
    # All that Airflow's DAG processor knows where no task told more.
    known = {"dag": SimpleNamespace(dag_id="returns__train"), "run_id": run.run_id, "reason": "task_failure"}
    assert callable(callback)
    callback(known)  # type: ignore[arg-type]
    callback(known)  # type: ignore[arg-type]
    (training,) = Ledger(load_project(starter).locations.ledger_url).trainings("returns")
    assert (training.run_id, training.verdict) == (run.run_id, "error")
    assert "as when its process is killed" in training.reasons[0]
