"""The append-only record of what was published, decided, trained and deployed, and why.

Belongs here: tables, records, migrations, and the unique keys that make a decision happen once.
Does not belong here: deciding anything (`policy`), or running anything (`pipeline`).
"""

from keepfit.ledger.audit import Audit
from keepfit.ledger.coverage import gaps, share, spans
from keepfit.ledger.features import Edit, FeatureCheck, FeatureLedger
from keepfit.ledger.ledger import Ledger
from keepfit.ledger.loop import LoopRow
from keepfit.ledger.migration import migrate
from keepfit.ledger.past import Past
from keepfit.ledger.records import (
    Approval,
    Decision,
    Deployment,
    Incident,
    IncidentAnswer,
    Outcome,
    Publication,
    Ruling,
    Training,
    Verdict,
    decision_key,
    incident_key,
    train_run_id,
)

__all__ = [
    "Approval",
    "Audit",
    "Decision",
    "Deployment",
    "Edit",
    "FeatureCheck",
    "FeatureLedger",
    "Incident",
    "IncidentAnswer",
    "Ledger",
    "LoopRow",
    "Outcome",
    "Past",
    "Publication",
    "Ruling",
    "Training",
    "Verdict",
    "decision_key",
    "gaps",
    "incident_key",
    "migrate",
    "share",
    "spans",
    "train_run_id",
]
