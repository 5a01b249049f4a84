"""Say as JSON which policy was chosen, and all that was tried."""

from typing import Any

from keepfit.policy import Tried
from keepfit.policy.certainty import Difference
from keepfit.policy.parts import Part
from keepfit.steps.choice_words import evidence
from keepfit.steps.choose_policy import Choice

_PARTS = ("choosing", "reporting")


def choice_json(choice: Choice) -> dict[str, Any]:
    """Return it with the figures of every policy on both parts."""
    found = choice.ranking
    parts = zip(_PARTS, choice.parts, strict=True)
    return {
        "model": found.model,
        "objective": found.objective,
        "cost": found.price,
        "gate": found.gate,
        "label_delay": choice.label_delay,
        "kinds": [each.kind for each in choice.matrices],
        "chosen": _tried(found.winner, choice),
        "policy": choice.policy.model_dump(mode="json"),
        "suggestion": choice.suggestion,
        "parts": {name: _part(part, found.price) for name, part in parts},
        "tried": [_tried(each, choice) for each in found.tried],
        "against": [_against(each, choice) for each in found.fixed if each is not found.winner],
        "evidence": list(evidence(choice)),
    }


def _against(other: Tried, choice: Choice) -> dict[str, Any]:
    both = zip(_PARTS, choice.ranking.against(other), strict=True)
    return {
        "name": other.candidate.title,
        "kind": other.kind,
        **{name: _interval(each) for name, each in both},
    }


def _interval(found: Difference) -> dict[str, float]:
    return {"difference": found.value, "low": found.low, "high": found.high, "windows": found.windows}


def _part(part: Part, price: float) -> dict[str, Any]:
    best = part.best
    return {
        "start": part.start.isoformat(),
        "end": part.end.isoformat(),
        "windows": part.last - part.first,
        "counted": part.counted,
        "oracle": {
            "trainings": best.trainings,
            "cuts": list(best.cuts),
            "loss": best.loss,
            "cost": best.cost(price),
        },
    }


def _tried(tried: Tried, choice: Choice) -> dict[str, Any]:
    price = choice.ranking.price
    walks = {
        name: {
            "trainings": walked.trainings,
            "refusals": walked.refusals,
            "loss": walked.loss,
            "mean_loss": walked.mean_loss,
            "cost": walked.cost(price),
            "regret": part.regret(walked, price),
            "trained_after": [step.window - 1 for step in walked.steps if step.trained],
        }
        for name, walked, part in zip(_PARTS, tried.walks, choice.parts, strict=True)
    }
    policy = tried.candidate.policy.model_dump(mode="json")
    return {"name": tried.candidate.title, "kind": tried.kind, "policy": policy, **walks}
