"""Do the plugins exist that the specs name, and can the files be read?"""

from collections.abc import Iterator

from keepfit.errors import PolicyError, UnknownPluginError
from keepfit.plugins import Group, find
from keepfit.policy import own_policy
from keepfit.spec import DatasetSpec, ModelSpec, Problem, Project
from keepfit.spec.dataset import PluginSource
from keepfit.spec.policy import Own
from keepfit.spec.text_file import text_problem


def plugin_problems(project: Project) -> Iterator[Problem]:
    """Look up every source, trainer, metric and policy by its name."""
    for dataset in project.datasets.values():
        for field, group, name in _of_dataset(dataset):
            yield from _lookup(f"datasets/{dataset.name}.yaml", field, group, name)
    for model in project.models.values():
        for field, group, name in _of_model(model):
            yield from _lookup(f"models/{model.name}.yaml", field, group, name)
        yield from _policy_problems(model)


def _of_dataset(dataset: DatasetSpec) -> Iterator[tuple[str, Group, str]]:
    if isinstance(dataset.source, PluginSource):
        yield "source.name", "sources", dataset.source.name


def _of_model(model: ModelSpec) -> Iterator[tuple[str, Group, str]]:
    for index, candidate in enumerate(model.train.candidates):
        yield f"train.candidates[{index}].trainer", "trainers", candidate.trainer
    yield "evaluate.objective", "metrics", model.evaluate.objective
    for index, metric in enumerate(model.evaluate.metrics):
        yield f"evaluate.metrics[{index}]", "metrics", metric


def _policy_problems(model: ModelSpec) -> Iterator[Problem]:
    for place, rule in model.policy.parts():
        if isinstance(rule, Own):
            try:
                own_policy(rule)
            except (PolicyError, UnknownPluginError) as error:
                field = "params" if isinstance(error, PolicyError) else "function"
                yield Problem(f"models/{model.name}.yaml", f"{place}.{field}", str(error))


def _lookup(file: str, field: str, group: Group, name: str) -> Iterator[Problem]:
    try:
        find(group, name)
    except UnknownPluginError as error:
        yield Problem(file, field, str(error))


def text_problems(project: Project) -> Iterator[Problem]:
    """Try to read the transforms and suites that no dataset names; of the others their dataset has told."""
    for file in _files(project):
        message = text_problem(project.repo / file)
        if message and not any(problem.message.startswith(file) for problem in project.problems):
            yield Problem(file, "", message)


def _files(project: Project) -> list[str]:
    paths = (
        path for pattern in ("transforms/*.sql", "expectations/*.yaml") for path in project.repo.glob(pattern)
    )
    return sorted(path.relative_to(project.repo).as_posix() for path in paths)
