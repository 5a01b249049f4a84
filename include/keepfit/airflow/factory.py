"""Turn the specs of a project into Airflow's DAGs."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from airflow.sdk import DAG, get_parsing_context, task
from airflow.sdk.exceptions import AirflowException

from keepfit.airflow.apply import apply_dag
from keepfit.airflow.docs import problem_doc
from keepfit.airflow.incident import incident_dag
from keepfit.airflow.ingest import ingest_dag, quarantine_dag
from keepfit.airflow.monitor import monitor_dag
from keepfit.airflow.predict import predict_dag
from keepfit.airflow.release import release_dag
from keepfit.airflow.replay import replay_dag
from keepfit.airflow.specs import load_for
from keepfit.airflow.sweep import sweep_dag
from keepfit.airflow.train import train_dag
from keepfit.errors import KeepfitError, SpecError
from keepfit.spec import Problem, Project
from keepfit.spec.load import PROJECT_FILE

_MODEL_DAGS = {
    "train": train_dag,
    "predict": predict_dag,
    "monitor": monitor_dag,
    "release": release_dag,
    "replay": replay_dag,
}


def project_dags(root: Path) -> dict[str, DAG]:
    """Build the DAGs of a project, by DAG id; in a task's process, only the task's own.

    A file with a problem becomes a paused DAG `<file>__invalid` that says what is wrong, and hides no other.
    """
    wanted = get_parsing_context().dag_id
    try:
        project = load_for(root, wanted)
    except SpecError as error:
        return _by_id(_invalid_dags([Problem("keepfit.yaml", "", str(error))]))
    dags, problems = [], list(project.problems)
    for dag_id, file, build in _builders(project):
        if wanted not in (None, dag_id):
            continue
        try:
            dag = build()
            dag.validate()  # type: ignore[no-untyped-call]
        except (KeepfitError, AirflowException, ValueError) as error:
            problems.append(Problem(file, "", f"its DAG {dag_id} cannot be built: {error}"))
        else:
            dags.append(dag)
    return _by_id([*dags, *_invalid_dags(problems)])


def _builders(project: Project) -> Iterator[tuple[str, str, Callable[[], DAG]]]:
    for name, dataset in project.datasets.items():
        yield f"{name}__ingest", f"datasets/{name}.yaml", partial(ingest_dag, project, dataset)
        if dataset.quarantine:
            yield f"{name}__quarantine", f"datasets/{name}.yaml", partial(quarantine_dag, project, dataset)
    for name, model in project.models.items():
        for verb, build in _MODEL_DAGS.items():
            yield f"{name}__{verb}", f"models/{name}.yaml", partial(build, project, model)
    yield "keepfit__apply", PROJECT_FILE, partial(apply_dag, project)
    yield "keepfit__sweep", PROJECT_FILE, partial(sweep_dag, project)
    yield "keepfit__incident", PROJECT_FILE, partial(incident_dag, project)


def _invalid_dags(problems: Iterable[Problem]) -> Iterator[DAG]:
    for stem, group in groupby(sorted(problems, key=_stem), key=_stem):
        yield _invalid_dag(stem, tuple(group))


def _invalid_dag(stem: str, problems: tuple[Problem, ...]) -> DAG:
    with DAG(
        dag_id=f"{stem}__invalid",
        doc_md=problem_doc(problems),
        schedule=None,
        is_paused_upon_creation=True,
        tags=["keepfit", "invalid"],
    ) as dag:
        explain("\n".join(str(problem) for problem in problems))
    return dag


@task
def explain(problems: str) -> None:
    """Fail with what is wrong."""
    raise SpecError(problems)


def _stem(problem: Problem) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", PurePosixPath(problem.file).stem)


def _by_id(dags: Iterable[DAG]) -> dict[str, DAG]:
    return {dag.dag_id: dag for dag in dags}
