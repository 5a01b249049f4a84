"""What the ledger keeps of how versions did: each metric of each role, and nothing of one without labels."""

from datetime import UTC, datetime

from keepfit.ledger import Outcome
from keepfit.spec import Window
from keepfit.steps.measure import RolePerformance
from keepfit.steps.outcomes import outcomes_of

WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC))


def test_each_metric_of_each_role_is_kept_and_nothing_of_one_without_labelled_rows() -> None:
    roles = [
        RolePerformance("champion", "3", 70, {"log_loss": 0.5, "roc_auc": None}, 0.9),
        RolePerformance("shadow", "4", 60, {"log_loss": 0.4}, 0.8),
        RolePerformance("canary", "4", 0, {"log_loss": None}, 0.0),
    ]
    bounds = (WINDOW.start, WINDOW.end)
    found = list(outcomes_of("churn", WINDOW, roles, "run"))
    times = [each.recorded_at for each in found]
    assert found == [
        Outcome("churn", "3", "champion", *bounds, "log_loss", 0.5, 70, 0.9, "run", times[0]),
        Outcome("churn", "3", "champion", *bounds, "roc_auc", None, 70, 0.9, "run", times[1]),
        Outcome("churn", "4", "shadow", *bounds, "log_loss", 0.4, 60, 0.8, "run", times[2]),
    ]
