"""Write a version's model card: what it is, what it was made from, how it did, what nobody has measured."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from keepfit.backends.page import Page, render
from keepfit.spec import ModelSpec
from keepfit.spec.fields import duration_text
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.figures import figure
from keepfit.steps.gate import Judgement
from keepfit.steps.importance import Importances
from keepfit.steps.intervals import SliceEvaluation
from keepfit.steps.register import Lineage
from keepfit.steps.training_set import TrainingSet

_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
_CALIBRATION = ("calibration_error", "brier", "log_loss")


@dataclass(frozen=True)
class CardFacts:
    """All that a card tells of."""

    version: str
    spec: ModelSpec
    lineage: Lineage
    built: TrainingSet
    evaluation: Evaluation
    judgement: Judgement
    params: Mapping[str, Any]
    missing: Mapping[str, float]
    """The share of the training rows without a value, by feature."""
    left_out: Sequence[str] = ()
    """Features that the learner could not use."""
    importances: Importances | None = None
    """What each feature is worth to it."""


def missing_shares(rows: pd.DataFrame, features: Sequence[str]) -> dict[str, float]:
    """Return how often each feature has no value."""
    return {name: float(rows[name].isna().mean()) for name in features}


def write_card(facts: CardFacts) -> Page:
    """Make the card, as Markdown and as HTML."""
    spec, lineage, evaluation = facts.spec, facts.lineage, facts.evaluation
    trained_from, _, trained_to = lineage.data_window.partition("/")
    confidence = f"{spec.evaluate.gate.confidence:.0%}"
    content = {
        "model": spec,
        "version": facts.version,
        "judgement": facts.judgement,
        "evaluation": evaluation,
        "lineage": lineage,
        "task": f"binary {spec.task}" if spec.task == "classification" else spec.task,
        "delay": duration_text(spec.label.delay),
        "learner": lineage.trainer,
        "params": ", ".join(f"{name}={value}" for name, value in facts.params.items()) or "the learner's own",
        "as_of": lineage.as_of,
        "cost": _cost(evaluation),
        "why": lineage.reason
        or (f"decision {lineage.decision}" if lineage.decision else "no reason was given"),
        "trained_from": trained_from,
        "trained_to": trained_to,
        "versions": sorted(facts.built.versions.items()),
        "dropped": ", ".join(f"{rows:,} ({why})" for why, rows in facts.built.dropped.items() if rows),
        "features": list(_features(facts)),
        "worth": _worth(facts.importances),
        "metrics": list(_metrics(facts)),
        "confidence": confidence,
        "how_sure": _how_sure(facts, confidence),
        "slices": [_slice(each, spec) for each in evaluation.slices],
        "slice_metrics": spec.evaluate.all_metrics,
        "comparison": _comparison(evaluation, facts.judgement, spec),
        "origin": list(_origin(lineage)),
        "limits": list(_limits(facts)),
    }
    return render(_TEMPLATE, f"{spec.name}, version {facts.version}", content)


def _features(facts: CardFacts) -> Iterator[dict[str, str]]:
    worth = facts.importances.shares if facts.importances else {}
    for name, kind in facts.built.features.items():
        missing, part = (
            "" if each is None else f"{each:.1%}" for each in (facts.missing.get(name), worth.get(name))
        )
        yield {"name": name, "kind": kind, "missing": missing, "worth": part}


def _worth(found: Importances | None) -> str:
    if found is None or not found.shares:
        return "What each is worth to it was not measured."
    return (
        f"The worth of a feature is its part of what {found.objective} loses on {found.rows:,} rows of the "
        "holdout as one feature after the other is shuffled; those that say the same share theirs badly."
    )


def _metrics(facts: CardFacts) -> Iterator[dict[str, str]]:
    for name in facts.spec.evaluate.all_metrics:
        yield {
            "name": f"{name} (objective)" if name == facts.spec.evaluate.objective else name,
            "value": _shown(facts.evaluation.metrics.get(name)),
            "interval": _interval(facts.evaluation.intervals.get(name)),
            "champion": _shown((facts.evaluation.champion or {}).get(name)),
            "baseline": _shown(facts.evaluation.baseline.get(name)),
        }


def _slice(found: SliceEvaluation, spec: ModelSpec) -> dict[str, Any]:
    """Write the metrics of a slice, each with its interval and the champion's."""
    cells = []
    for name in spec.evaluate.all_metrics:
        both = _interval(found.intervals.get(name))
        other = _shown((found.champion or {}).get(name))
        texts = (
            _shown(found.metrics.get(name)),
            f"({both})" if both else "",
            f"champion {other}" if other else "",
        )
        cells.append(" ".join(filter(None, texts)))
    return {"name": f"{found.column}: {found.value}", "rows": f"{found.rows:,}", "cells": cells}


def _interval(both: tuple[float, float] | None) -> str:
    return f"{_shown(both[0])} to {_shown(both[1])}" if both and all(map(math.isfinite, both)) else ""


def _cost(evaluation: Evaluation) -> str:
    latency, size = evaluation.latency_ms, evaluation.size_mb
    known = (f"{latency:.3g} ms" if latency is not None else "", f"{size:.3g} MB" if size is not None else "")
    return ", ".join(filter(None, known)) or "not measured"


def _how_sure(facts: CardFacts, confidence: str) -> str:
    if facts.evaluation.intervals:
        return f"The {confidence} intervals come from drawing the holdout's days again, several in a row."
    return "There are no intervals: the holdout has rows of too few days."


def _comparison(evaluation: Evaluation, judgement: Judgement, spec: ModelSpec) -> str:
    if evaluation.champion_version is None:
        return "There was no champion when this version was made."
    champion = f"Version {evaluation.champion_version} was champion"
    if evaluation.champion_problem:
        return f"{champion} and could not be scored: {evaluation.champion_problem}"
    if judgement.comparison is None:
        return f"{champion}; this version was not compared with it further."
    found, rule = judgement.comparison, spec.evaluate.gate
    return (
        f"{champion}. On the same {evaluation.rows:,} rows this version's {spec.evaluate.objective} differs "
        f"from its own by {found.difference:+.4f}, with {rule.confidence:.0%} confidence by {found.low:+.4f} "
        f"to {found.high:+.4f} ({found.days} days)."
    )


def _origin(lineage: Lineage) -> Iterator[tuple[str, str]]:
    named = {
        "Run": lineage.run_id,
        "Commit": lineage.git_commit,
        "Digest of the spec": lineage.spec_digest,
        "Digest of the features' definitions": lineage.registry_digest,
        "Record to rebuild it from (SHA-256)": lineage.pins_sha256,
        "Seed": lineage.seed,
        "Decision": lineage.decision,
        "Its reason": lineage.reason,
    }
    return ((name, "none" if value is None else str(value)) for name, value in named.items())


def _limits(facts: CardFacts) -> Iterator[str]:
    evaluation, spec = facts.evaluation, facts.spec
    start, end = (datetime.fromisoformat(each) for each in (evaluation.start, evaluation.end))
    yield (
        f"It is measured on rows of {start:%Y-%m-%d} to {end:%Y-%m-%d} only: nothing here tells how it does "
        "in another season, or when habits change."
    )
    yield (
        f"It knows nothing later than {facts.lineage.as_of}: the older that gets, the less this card says. "
        f"keepfit history {spec.name} tells what has been live since."
    )
    if not evaluation.slices:
        yield "It is not measured by slice: it may do worse for a part of the rows than for all."
    for each in evaluation.slices:
        if each.too_small:
            yield f"The slice {each.column}: {each.value} is not judged: {each.too_small}."
    if spec.task == "classification" and not {*_CALIBRATION} & {*spec.evaluate.all_metrics}:
        yield f"Whether its probabilities are right is not measured ({', '.join(_CALIBRATION)} would)."
    if undefined := [name for name, value in evaluation.metrics.items() if not math.isfinite(value)]:
        yield f"The holdout does not define {', '.join(undefined)}."
    if unused := [*facts.built.empty_features, *facts.left_out]:
        yield f"Left out, since they held nothing to learn from: {', '.join(unused)}."
    yield "How it answers to inputs unlike those it was trained on, and whether it is fair, was not measured."


def _shown(value: float | None) -> str:
    """Write a metric's value."""
    if value is None or not math.isfinite(value):
        return ""
    return figure(value)
