"""What the Airflow UI says of a DAG. The spec's digest is part of it, so an edit makes a new DAG version."""

from collections.abc import Iterator, Mapping

from keepfit.spec import DatasetSpec, ModelSpec, Problem, Project
from keepfit.spec.fields import duration_text


def dataset_doc(project: Project, spec: DatasetSpec) -> str:
    """Describe an ingest."""
    facts = {
        "Source": ", ".join(spec.inputs) or spec.source.type,
        "Key": ", ".join(spec.key),
        "Event time": spec.event_time,
        "Expectations": spec.expectations,
        "Transform": spec.transform,
        "Feature views": ", ".join(spec.feature_views),
    }
    return _doc(spec, f"datasets/{spec.name}.yaml", facts, project.digest(dataset=spec.name))


def model_doc(project: Project, spec: ModelSpec) -> str:
    """Describe a model's DAG."""
    candidates = (candidate.estimator or candidate.trainer for candidate in spec.train.candidates)
    facts = {
        "Rows": spec.entities.dataset,
        "Where": spec.entities.where and f"`{spec.entities.where}`",
        "Features": spec.features,
        "Label": f"{spec.label.column}, known after {duration_text(spec.label.delay)}",
        "Candidates": ", ".join(candidates),
        "Holdout": duration_text(spec.train.holdout),
        "Objective": spec.evaluate.objective,
        "Retrained by": ", ".join(_signals(spec)) or "hand only",
        "Cool-down": duration_text(spec.policy.cooldown),
        "Promotion": spec.promotion,
    }
    return _doc(spec, f"models/{spec.name}.yaml", facts, project.digest(model=spec.name))


def problem_doc(problems: tuple[Problem, ...]) -> str:
    """Describe what is wrong with a file."""
    lines = "\n".join(_problem_line(problem) for problem in problems)
    return f"This file is left out until it is put right:\n\n{lines}\n\n`keepfit check` says the same."


def _problem_line(problem: Problem) -> str:
    field = f"**{problem.field}** " if problem.field else ""
    return f"- `{problem.file}` {field}{problem.message}"


def _signals(spec: ModelSpec) -> Iterator[str]:
    if spec.train.calendar:
        yield f"calendar {spec.train.calendar}"
    yield from (each.rule.replace("_", " ") for each in spec.policy.rules)


def _doc(spec: DatasetSpec | ModelSpec, file: str, facts: Mapping[str, str | None], digest: str) -> str:
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items() if value)
    edit = f"Edit `feature_repo/{file}` to change it. Spec digest: `{digest}`."
    return "\n\n".join(part for part in (spec.description.strip(), f"| | |\n|---|---|\n{rows}", edit) if part)
