"""The typed trigger form of each DAG: Airflow answers 400 to a value of the wrong type or range."""

from airflow.sdk import Param

from keepfit.spec import ModelSpec


def window_params() -> dict[str, Param]:
    """Ask for a window, both ends or neither."""
    return {
        "window_start": _moment(
            "The window's start, included. Empty: what the schedule or the partition says."
        ),
        "window_end": _moment("The window's end, excluded."),
    }


def ingest_params() -> dict[str, Param]:
    """Ask for what an ingest takes."""
    again = Param(
        False, type="boolean", description="Read and replace all that is published, not this window alone."
    )
    late = Param(
        False,
        type="boolean",
        description="Computed again since rows it was computed from were replaced: wakes no predictions of a "
        "window that has some. Filled in by the ingest that replaced them.",
    )
    return window_params() | {"full_refresh": again, "recompute": late}


def quarantine_params() -> dict[str, Param]:
    """Ask for what becomes of rows in quarantine."""
    return window_params() | {
        "action": Param(
            "release",
            enum=["release", "drop"],
            description="Publish the rows after all, in their window; or leave them out for good.",
        ),
        "keys": _text(
            "The keys of the rows, with commas between them; a key that has a comma in double quotes. "
            "Empty: all that are not ruled on."
        ),
        "who": _text("On whose behalf; kept with the ruling, behind the user who started the run."),
    }


def train_params(spec: ModelSpec) -> dict[str, Param]:
    """Ask for what a training takes."""
    return {
        "as_of": _moment("Train as if it were this moment. Empty: the end of the data published so far."),
        "reason": _text("Why this training is wanted; kept with the version."),
        "promotion": Param(
            spec.promotion,
            enum=["auto", "approval", "never", "replace"],
            description="Whether a challenger that passes its gate becomes champion by itself, once somebody "
            "approves of it, or never; the model's file may ask for more caution, which then counts. "
            "replace: even if the champion cannot be scored, since its features were taken away.",
        ),
        "decision": _text("The key of the ledger's decision that asks for it. Filled in by the monitor."),
    }


def release_params() -> dict[str, Param]:
    """Ask for what a release takes."""
    return {
        "action": Param(
            "release",
            enum=["release", "rollback", "withdraw"],
            description="Give a version a role; go back to a former champion; or take a role away.",
        ),
        "version": Param(
            None,
            type=["null", "string"],
            pattern=r"^[1-9]\d*$",
            description="The version. For a rollback, empty: the champion before the one there is.",
        ),
        "time": _moment("For a rollback: to the version that was champion then."),
        "role": Param(
            "champion", enum=["champion", "challenger"], description="Whose place is given or taken."
        ),
        "share": Param(
            None,
            type=["null", "number"],
            minimum=0,
            exclusiveMaximum=1,
            description="The share of requests that a challenger answers. 0 or empty: it is scored beside.",
        ),
        "reason": _text("Why; kept with the move."),
    }


def replay_params() -> dict[str, Param]:
    """Ask for what a replay takes."""
    return {
        "from": _moment("Where the first window starts. Empty: as early as a model can be trained."),
        "to": _moment("Where the last window ends. Empty: where the published data ends."),
        "every": _duration("The windows' length: how often the model is monitored.", "7d"),
        "label_delay": _duration("How late labels are known. Empty: as the model's file says."),
        "windows": _text(
            "Which rows a training may take, besides what the model's file says, with commas between: "
            "expanding, trailing:91d, season:365d/45d."
        ),
        "cost": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            description="What one training costs, in units of the objective summed over windows.",
        ),
        "split": Param(
            0.5,
            type="number",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            description="The share of the windows that chooses the policy; the rest reports.",
        ),
    }


def predict_params() -> dict[str, Param]:
    """Ask for what a batch prediction takes."""
    version = Param(
        None, type=["null", "string"], pattern=r"^[1-9]\d*$", description="A version. Empty: the champion."
    )
    return window_params() | {"version": version}


def _moment(description: str) -> Param:
    return Param(None, type=["null", "string"], format="date-time", description=description)


def _text(description: str) -> Param:
    return Param(None, type=["null", "string"], description=description)


def _duration(description: str, default: str | None = None) -> Param:
    kind = "string" if default else ["null", "string"]
    return Param(default, type=kind, pattern=r"^\d+\s*[smhdw]$", description=description)
