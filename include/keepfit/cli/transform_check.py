"""Do the transforms compile, and do the models ask for columns that they give? No row is read."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from keepfit.errors import TransformError
from keepfit.spec import DatasetSpec, ModelSpec, Problem, Project
from keepfit.spec.problem import did_you_mean

Columns = Mapping[str, str]


class Compiled:
    """What each dataset would publish, as far as its files say."""

    def __init__(self, project: Project) -> None:
        """Compile all transforms of a project."""
        self.columns: dict[str, Columns] = {}
        self.problems: list[Problem] = []
        self._project = project
        self._seen: set[str] = set()
        for dataset in project.datasets.values():
            self._visit(dataset)

    def validated(self, dataset: DatasetSpec) -> Columns | None:
        """Return the columns of the rows that a dataset's suite is run on, if they are known."""
        return self.columns.get(dataset.name) if dataset.inputs else dataset.types

    def _visit(self, dataset: DatasetSpec) -> None:
        if dataset.name in self._seen:
            return
        self._seen.add(dataset.name)
        if dataset.transform is None:
            self.columns[dataset.name] = dataset.types
            return
        for name in dataset.inputs:
            if name in self._project.datasets:
                self._visit(self._project.datasets[name])
        try:
            columns = self._compile(dataset)
        except TransformError as error:
            file = dataset.files["transform"]
            self.problems.append(Problem(file, "", str(error).removeprefix(f"{file}: ")))
        else:
            self.columns |= {dataset.name: columns} if columns else {}

    def _compile(self, dataset: DatasetSpec) -> Columns | None:
        from keepfit.steps.compile_transform import compile_transform

        text = self._project.texts(dataset.name)[dataset.files["transform"]]
        known = {name: self.columns[name] for name in dataset.inputs if name in self.columns}
        inputs = known if dataset.inputs else {"source": dataset.types}
        with TemporaryDirectory(prefix="keepfit-check-") as scratch:
            return compile_transform(
                dataset,
                text,
                inputs if len(inputs) == max(1, len(set(dataset.inputs))) else None,
                bounds=self._project.spec.engine,
                scratch=Path(scratch),
            )


def computed_column_problems(project: Project, compiled: Compiled) -> Iterator[Problem]:
    """Hold the models' columns against the transforms' results; against declared columns they were held."""
    for model in project.models.values():
        for field, column, name in _asked(model):
            dataset, columns = project.datasets.get(name), compiled.columns.get(name)
            if dataset and dataset.transform and columns is not None and column not in columns:
                message = f"the dataset {name!r} has no column {column!r}.{did_you_mean(column, columns)}"
                has = f"{dataset.files['transform']} gives: {', '.join(columns)}."
                yield Problem(f"models/{model.name}.yaml", field, f"{message} {has}")


def _asked(model: ModelSpec) -> Iterator[tuple[str, str, str]]:
    for index, column in enumerate(model.entities.columns):
        yield f"entities.columns[{index}]", column, model.entities.dataset
    for index, column in enumerate(model.entities.known):
        yield f"entities.known[{index}]", column, model.entities.dataset
    yield "label.column", model.label.column, model.label_dataset
