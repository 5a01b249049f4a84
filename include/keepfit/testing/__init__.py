"""For authors of plugins: test classes to inherit from, and small data to run them on.

Belongs here: what any trainer, metric or policy must hold to. Does not belong here: tests of keepfit itself.
"""

from keepfit.testing.data import classes, values
from keepfit.testing.matrices import matrix
from keepfit.testing.metrics import MetricTests
from keepfit.testing.policies import PolicyTests, blind_week, decay, week
from keepfit.testing.trainers import TrainerTests

__all__ = [
    "MetricTests",
    "PolicyTests",
    "TrainerTests",
    "blind_week",
    "classes",
    "decay",
    "matrix",
    "values",
    "week",
]
