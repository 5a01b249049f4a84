"""The append-only record of what was published, decided, trained and deployed, and why.

Belongs here: tables, records, migrations, and the unique keys that make a decision happen once.
Does not belong here: deciding anything (`policy`), or running anything (`pipeline`).
"""

from keepfit.ledger.coverage import gaps, share, spans
from keepfit.ledger.features import Edit, FeatureCheck, FeatureLedger
from keepfit.ledger.ledger import Ledger
from keepfit.ledger.migration import migrate
from keepfit.ledger.records import (
    Approval,
    Decision,
    Deployment,
    Publication,
    Ruling,
    Training,
    Trigger,
    Verdict,
    decision_key,
    train_run_id,
)

__all__ = [
    "Approval",
    "Decision",
    "Deployment",
    "Edit",
    "FeatureCheck",
    "FeatureLedger",
    "Ledger",
    "Publication",
    "Ruling",
    "Training",
    "Trigger",
    "Verdict",
    "decision_key",
    "gaps",
    "migrate",
    "share",
    "spans",
    "train_run_id",
]
