"""Do the plugins and expectations exist that the specs name?"""

from collections.abc import Iterator

from keepfit.errors import SpecError, UnknownPluginError
from keepfit.plugins import Group, find
from keepfit.spec import DatasetSpec, ModelSpec, Problem, Project
from keepfit.spec.dataset import PluginSource


def plugin_problems(project: Project) -> Iterator[Problem]:
    """Look up every source, trainer and metric by its name."""
    for dataset in project.datasets.values():
        for field, group, name in _of_dataset(dataset):
            yield from _lookup(f"datasets/{dataset.name}.yaml", field, group, name)
    for model in project.models.values():
        for field, group, name in _of_model(model):
            yield from _lookup(f"models/{model.name}.yaml", field, group, name)


def _of_dataset(dataset: DatasetSpec) -> Iterator[tuple[str, Group, str]]:
    if isinstance(dataset.source, PluginSource):
        yield "source.name", "sources", dataset.source.name


def _of_model(model: ModelSpec) -> Iterator[tuple[str, Group, str]]:
    for index, candidate in enumerate(model.train.candidates):
        yield f"train.candidates[{index}].trainer", "trainers", candidate.trainer
    yield "evaluate.objective", "metrics", model.evaluate.objective
    for index, metric in enumerate(model.evaluate.metrics):
        yield f"evaluate.metrics[{index}]", "metrics", metric


def _lookup(file: str, field: str, group: Group, name: str) -> Iterator[Problem]:
    try:
        find(group, name)
    except UnknownPluginError as error:
        yield Problem(file, field, str(error))


def suite_problems(project: Project) -> Iterator[Problem]:
    """Read every suite as Great Expectations will; importing it takes seconds, so only where there is one."""
    for file, text in project.texts().items():
        if file.startswith("expectations/"):
            from keepfit.backends.suites import read_suite

            try:
                read_suite(text, file)
            except SpecError as error:
                for line in str(error).splitlines():
                    place, _, message = line.removeprefix(f"{file}: ").partition(": ")
                    yield Problem(file, place, message)
