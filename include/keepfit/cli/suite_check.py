"""Are the expectations such that Great Expectations knows, on columns that there are?"""

from collections.abc import Iterator
from dataclasses import replace

from keepfit.cli.transform_check import Compiled
from keepfit.errors import SpecError
from keepfit.spec import DatasetSpec, Problem, Project
from keepfit.spec.problem import did_you_mean, path_text
from keepfit.spec.text_file import read_text, text_problem
from keepfit.spec.yaml_file import read_yaml


def suite_problems(project: Project, compiled: Compiled) -> Iterator[Problem]:
    """Read every suite as Great Expectations will; importing it takes seconds, so only where there is one."""
    for path in sorted(project.repo.glob("expectations/*.yaml")):
        if text_problem(path):
            continue
        file = path.relative_to(project.repo).as_posix()
        lines = {path_text(place): line for place, line in read_yaml(path, file).lines.items()}
        users = [each for each in project.datasets.values() if each.expectations == path.stem]
        for problem in _problems(file, read_text(project.repo, file), users, compiled):
            yield replace(problem, line=lines.get(problem.field))


def _problems(file: str, text: str, users: list[DatasetSpec], compiled: Compiled) -> Iterator[Problem]:
    from keepfit.backends.suite_file import parse_suite
    from keepfit.backends.suites import read_suite

    try:
        _, entries = parse_suite(text, file)
    except SpecError as error:
        yield from _told(file, error)
        return
    try:
        read_suite(text, file)
    except SpecError as error:
        yield from _told(file, error)
    for dataset in users:
        columns = compiled.validated(dataset)
        for entry in entries:
            for field, column in entry.columns:
                if columns is not None and column not in columns:
                    message = (
                        f"{entry.type} is on {column!r}, which the rows of {dataset.name!r} do not have."
                    )
                    has = f"They have: {', '.join(columns)}."
                    yield Problem(file, field, f"{message}{did_you_mean(column, columns)} {has}")


def _told(file: str, error: SpecError) -> Iterator[Problem]:
    for line in str(error).splitlines():
        place, _, message = line.removeprefix(f"{file}: ").partition(": ")
        yield Problem(file, place, message)
