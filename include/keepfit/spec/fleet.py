"""`fleet:` of `feature_repo/keepfit.yaml`: what holds for all models together."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from keepfit.spec.fields import Closed, PositiveDuration


class FleetSpec(Closed):
    """When a cause counts as common, and how many trainings all models may start together."""

    common_cause: Annotated[int, Field(ge=1)] | None = 3
    """A feature view that breaks or jumps in a window, and is used by so many models, opens one incident:
    their trainings wait until somebody says whether that is a fault. 1: each is asked about. null: models are
    never held."""
    budget: Annotated[int, Field(ge=1)] | None = None
    """How many trainings by signal of all models together at most within `budget_period`."""
    budget_period: PositiveDuration = timedelta(days=7)
    """A stretch of data time."""
