"""`feature_repo/models/<name>.yaml`: one model, from its rows to the rules that retrain it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from keepfit.spec.fields import (
    Closed,
    Column,
    Cron,
    Duration,
    Moment,
    Name,
    PositiveDuration,
    Share,
    duration_text,
)
from keepfit.spec.gate import GateSpec
from keepfit.spec.policy import PolicySpec
from keepfit.spec.promotion import ApprovalSpec, Promotion, WatchSpec

Scalar = str | int | float | bool | None
LABELS_AWAITED = timedelta(days=7)
"""So long after a window was predicted its labels are waited for: then it is decided without them."""


class EntitiesSpec(Closed):
    """The rows to predict: which, and when each is asked about."""

    dataset: Name
    """A dataset; its key names a row, its event time is the moment of the prediction."""
    where: str | None = None
    """A SQL condition on the dataset's columns that picks the rows."""
    columns: tuple[Column, ...] = ()
    """Columns of the dataset known at prediction time that the feature service needs:
    join keys of its feature views and inputs of its on-demand views."""
    known: tuple[Column, ...] = ()
    """More columns of the dataset known at prediction time: feature views that read this same dataset may
    hold these, and no other."""


class LabelSpec(Closed):
    """What to predict, and when its truth is known."""

    column: Column
    dataset: Name | None = None
    """The dataset that holds it, joined by key; the entities' own when not given."""
    delay: Duration
    """How long after a row's event time its label is known. No run looks at a label earlier."""


class _Range(Closed):
    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.low, self.high
        if low >= high:
            raise ValueError(f"`low` is {low} and `high` is {high}: `low` must be the smaller")
        if self.log and low <= 0:
            raise ValueError(f"`low` is {low}: on a logarithmic scale it must be greater than 0")
        return self

    low: float
    high: float
    log: bool = False


class IntRange(_Range):
    """Whole numbers to search."""

    low: int
    high: int


class FloatRange(_Range):
    """Numbers to search; `kind: float` is needed where both ends are whole."""

    kind: Literal["float"] = "float"


class Choice(Closed):
    """Values to choose from."""

    choices: Annotated[tuple[Scalar, ...], Field(min_length=1)]


def _range_kind(value: object) -> str:
    """Tell the three apart by what is written, so that an error speaks of one of them only."""
    if isinstance(value, Closed):
        return {IntRange: "int", FloatRange: "float"}.get(type(value), "choice")
    if not isinstance(value, Mapping):
        return "int"
    if "choices" in value:
        return "choice"
    fraction = any(isinstance(value.get(end), float) for end in ("low", "high"))
    return "float" if fraction or "kind" in value else "int"


Range = Annotated[
    Annotated[IntRange, Tag("int")] | Annotated[FloatRange, Tag("float")] | Annotated[Choice, Tag("choice")],
    Discriminator(_range_kind),
]


class SearchSpec(Closed):
    """A search of hyper-parameters, scored on the last part of the training rows."""

    space: Annotated[dict[str, Range], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1, le=1000)] = 20
    patience: Annotated[int, Field(ge=1)] = 8
    """Stop when so many trials in a row have not been better."""
    good_enough: float | None = None
    """Stop when the objective reaches this."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The last share of the training rows, by time, that scores a trial."""


class CandidateSpec(Closed):
    """One way to train the model; the best candidate on the holdout is the challenger."""

    trainer: str
    """`lightgbm`, `xgboost`, `sklearn`, another entry point of `keepfit.trainers`,
    or `module:function` in `plugins/`."""
    estimator: str | None = None
    """For `sklearn`: a dotted name, such as `sklearn.ensemble.HistGradientBoostingClassifier`."""
    params: dict[str, Scalar] = Field(default_factory=dict)
    search: SearchSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.trainer == "sklearn" and self.estimator is None:
            raise ValueError(
                "`sklearn` needs an `estimator`, such as sklearn.linear_model.LogisticRegression"
            )
        if self.trainer in ("lightgbm", "xgboost") and self.estimator is not None:
            raise ValueError(
                f"`{self.trainer}` takes no `estimator`. Leave it out, or use the trainer `sklearn`"
            )
        if self.search and (both := sorted(self.params.keys() & self.search.space)):
            raise ValueError(f"{', '.join(both)} is in `params` and in `search.space`. Keep one of the two")
        return self


class SeasonSpec(Closed):
    """Rows of the same season: this period's, and those of each period before."""

    period: PositiveDuration
    """After how long the season comes again, such as 365d."""
    around: PositiveDuration
    """How far a row's event time may lie from the same moment of its own period, before and after."""

    @model_validator(mode="after")
    def _leaves_something_out(self) -> Self:
        if 2 * self.around >= self.period:
            raise ValueError(
                f"`around` is {duration_text(self.around)}: from half a `period` on, "
                f"{duration_text(self.period)}, it leaves no row out. Choose a shorter one"
            )
        return self


class TrainSpec(Closed):
    """How a model is trained."""

    start: Moment | None = None
    """The first row's event time at the earliest; all history when not given."""
    length: PositiveDuration | None = None
    """Train on the last rows only, so long back. An expanding window when not given (it did better)."""
    season: SeasonSpec | None = None
    """Train on rows of the same season only, this one's and those before. Not together with `length`."""
    holdout: PositiveDuration
    """The last labelled rows, kept from training: challenger and champion are both scored on them."""
    candidates: Annotated[tuple[CandidateSpec, ...], Field(min_length=1)]
    seed: int = 7
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads of the learner. One makes a training repeatable to the bit."""
    min_rows: Annotated[int, Field(ge=10)] = 200
    calendar: Cron | None = None
    """A cron expression that trains whatever the signals say."""
    timeout: PositiveDuration = timedelta(hours=6)

    @model_validator(mode="after")
    def _one_choice_of_rows(self) -> Self:
        if self.length and self.season:
            raise ValueError("`length` and `season` both say which rows to train on. Keep one of the two")
        return self


class EvaluateSpec(Closed):
    """What a model is measured by."""

    objective: str
    """The metric that search, gate and monitoring go by."""
    metrics: tuple[str, ...] = ()
    """More metrics to report: an entry point of `keepfit.metrics`, or `module:function` in `plugins/`."""
    gate: GateSpec = Field(default_factory=GateSpec)

    @model_validator(mode="after")
    def _what_the_gate_asks_is_measured(self) -> Self:
        unmeasured = [(field, metric) for field, metric in self.gate.asked if metric not in self.all_metrics]
        if unmeasured:
            first = unmeasured[0][0]
            named = ", ".join(metric for field, metric in unmeasured if field == first)
            raise ValueError(f"`gate.{first}` has {named}, which is not measured. Add it to `metrics`")
        return self

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """Name the objective and the others, once each."""
        return tuple(dict.fromkeys((self.objective, *self.metrics)))


class DriftSpec(Closed):
    """When a feature counts as drifted, by Evidently's definitions."""

    columns: tuple[Column, ...] = ()
    """All features when not given."""
    method: Literal["default", "wasserstein", "jensenshannon", "psi", "ks"] = "default"
    threshold: Annotated[float, Field(gt=0)] | None = None
    """A column's score at which it has drifted; Evidently's default of the method when not given."""
    min_rows: Annotated[int, Field(ge=2)] = 500
    """With fewer rows on either side the answer is "insufficient data", never "no drift"."""


class PerformanceSpec(Closed):
    """How the champion is measured on matured labels."""

    min_rows: Annotated[int, Field(ge=2)] = 500
    """With fewer labelled rows the answer is "insufficient data"."""


class ChallengerSpec(Closed):
    """A fresh challenger, trained in each monitoring to see what the champion's age costs; never deployed."""

    candidates: Literal["champion", "all"] = "champion"
    """Train as the champion was, with its parameters; or all candidates with their searches."""


class MonitorSpec(Closed):
    """What is measured about each window, and how often."""

    schedule: Cron | None = None
    """A cron expression; each newly published window of the entities' dataset when not given."""
    drift: DriftSpec | None = Field(default_factory=DriftSpec)
    performance: PerformanceSpec | None = Field(default_factory=PerformanceSpec)
    challenger: ChallengerSpec = Field(default_factory=ChallengerSpec)
    """How the fresh challenger is trained where the policy weighs regret."""


class PredictSpec(Closed):
    """Batch prediction of each newly published window."""

    threshold: Share = 0.5
    """The probability from which a row counts as positive."""
    unfit_features: Literal["stop", "mark"] = "mark"
    """When features are older than promised, or the online store was found to differ from what is published:
    `stop` predicts nothing and tries again later, `mark` says so beside the result."""
    batch_rows: Annotated[int, Field(ge=100)] = 50_000
    """How many rows are held in memory at once."""


class ModelSpec(Closed):
    """One model."""

    name: Name
    """The file's name without `.yaml`."""
    description: str = ""
    task: Literal["classification", "regression"]
    """Classification is binary."""
    entities: EntitiesSpec
    features: str
    """A Feast feature service."""
    label: LabelSpec
    train: TrainSpec
    evaluate: EvaluateSpec
    monitor: MonitorSpec = Field(default_factory=MonitorSpec)
    policy: PolicySpec = Field(default_factory=PolicySpec)
    predict: PredictSpec = Field(default_factory=PredictSpec)
    promotion: Promotion = "auto"
    """Whether a challenger that passes its gate becomes champion by itself, once approved of, or never."""
    approval: ApprovalSpec = Field(default_factory=ApprovalSpec)
    watch: WatchSpec | None = None
    """Rolls a new champion back when matured labels show that it does harm; not watched when not given."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2

    @model_validator(mode="after")
    def _label_is_not_asked_for(self) -> Self:
        for field in ("columns", "known"):
            if self.label.column in getattr(self.entities, field):
                raise ValueError(
                    f"the label {self.label.column!r} is among `entities.{field}`: "
                    "it is not known at prediction time. Take it out"
                )
        return self

    @model_validator(mode="after")
    def _season_holds_the_holdout(self) -> Self:
        season, back = self.train.season, self.label.delay + self.train.holdout
        if season and season.around <= back:
            raise ValueError(
                f"`train.season.around` is {duration_text(season.around)}, but the holdout begins "
                f"{duration_text(back)} back (`label.delay` and `train.holdout`): choose a longer "
                "`around`, or the holdout is last season's"
            )
        return self

    @property
    def label_dataset(self) -> str:
        """Name the dataset that holds the label."""
        return self.label.dataset or self.entities.dataset
