"""Windows whose data is in doubt: they do not say what is usual, neither to calibrate nor to find faults."""

from collections.abc import Iterator

from keepfit.ledger import Ledger
from keepfit.pipeline.answers import is_doubted
from keepfit.pipeline.broken import not_anew
from keepfit.pipeline.monitored import predictions_of
from keepfit.spec import ModelSpec, Window


def doubted_predictions(model: ModelSpec, ledger: Ledger) -> Iterator[tuple[Window, str]]:
    """Yield the stretches of a model's predictions that were made of doubtful data, and why.

    What was predicted anew since the decision is trusted: a fault that is there still is found again.
    """
    answers, made = ledger.incident_answers(), ledger.publications(predictions_of(model))
    for each in ledger.decisions(model.name):
        if is_doubted(each, answers):
            yield from ((window, each.reason) for window in not_anew(made, each))
