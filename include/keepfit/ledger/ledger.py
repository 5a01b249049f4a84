"""The ledger: insert once, read for ever. Nothing in it updates or deletes."""

from keepfit.ledger.audit import Audited
from keepfit.ledger.decisions import Decisions
from keepfit.ledger.incidents import Incidents
from keepfit.ledger.moves import Moves
from keepfit.ledger.outcomes import Outcomes
from keepfit.ledger.publications import Publications
from keepfit.ledger.rulings import Rulings


class Ledger(Publications, Decisions, Moves, Rulings, Incidents, Outcomes, Audited):
    """The record of one project, in SQLite or PostgreSQL. Cheap to make; forks may share it."""
