"""A learner's parameters as the spec gives them."""

from typing import Any

from keepfit.errors import TrainingError
from keepfit.plugins import TrainingTask

_THREADS = ("n_jobs", "num_threads", "num_thread", "nthread", "nthreads")
_SEED = ("seed", "random_seed", "random_state")


def own_params(task: TrainingTask) -> dict[str, Any]:
    """Return the spec's parameters without those that are null.

    Raises:
        TrainingError: The spec sets seed or threads here, which would undo `train.seed` or `train.threads`.
    """
    for name in task.params:
        if name in _THREADS or name in _SEED:
            place = "train.threads" if name in _THREADS else "train.seed"
            raise TrainingError(
                f"`params` sets {name!r}. It is set for all candidates by `{place}`; set it there."
            )
    return {name: value for name, value in task.params.items() if value is not None}


def take_rounds(params: dict[str, Any], default: int = 200) -> int:
    """Take the number of boosting rounds out of the parameters, by any of its names."""
    given = [
        params.pop(name) for name in ("n_estimators", "num_boost_round", "num_iterations") if name in params
    ]
    return int(given[0]) if given else default
