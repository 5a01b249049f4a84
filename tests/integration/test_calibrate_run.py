"""`keepfit calibrate` on a model's own weeks: real lake, real registry, real ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.test_monitor_run import FEATURES, MODEL, Shop, registered, shop, week
from typer.testing import CliRunner

from keepfit.cli.app import app
from keepfit.cli.calibrated import told
from keepfit.errors import ConfError, NotReadyError
from keepfit.ledger import Decision, Incident, IncidentAnswer
from keepfit.pipeline.calibrating import CalibrateRun, latest_calibration, thresholds_of
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.spec import Window
from keepfit.spec.model import ModelSpec

# What MLflow says of every dataset and every model.
pytestmark = pytest.mark.filterwarnings("ignore:.*(multiple ways|input example)")
__all__ = ["registered", "shop"]
WEEKS, RATE = 14, 0.3


def calibration(shop: Shop, run_id: str, window: Window | None = None) -> CalibrateRun:
    return CalibrateRun(take_snapshot(shop.project, "churn__calibrate", run_id, model="churn", window=window))


def test_a_models_own_weeks_choose_its_thresholds(shop: Shop) -> None:
    for number in range(WEEKS):
        shop.live_week(number, shift=40.0 if number == 9 else 0.0)
    found = calibration(shop, "cli__1").calibrate(timedelta(days=7), RATE)
    assert (found["windows"], found["about"]["version"]) == (WEEKS - 1, "1")
    assert "visits holds what was never there before" in found["about"]["left_out"][week(9).key]
    assert set(found["columns"]) == {*FEATURES, "score"}
    assert found["columns"]["visits"]["alarm"]["threshold"] > 0
    assert found["signals"]["share"]["used"] == 0.5
    assert any(line.startswith("share of drifted columns") for line in "\n".join(told(found)).splitlines())
    kept = latest_calibration(shop.at.runs, "churn")
    assert kept is not None
    assert set(kept.jumps) == {*FEATURES, "score"}


@pytest.mark.parametrize(
    ("drift", "tested"),
    [
        ("{min_rows: 100, method: ks}", ["visits", "spent"]),
        ("{min_rows: 100, method: ks, columns: [spent, city]}", ["spent"]),
        ("{min_rows: 100, method: psi}", []),
        ("{min_rows: 100}", []),
        ("null", []),
    ],
)
def test_columns_that_monitoring_tests_for_p_values_are_named_since_figures_are_distances(
    shop: Shop, drift: str, tested: list[str]
) -> None:
    model = MODEL.replace("{min_rows: 100}", drift, 1).replace("    - {rule: drift_share}\n", "")
    shop.write("feature_repo/models/churn.yaml", model)
    for number in range(6):
        shop.live_week(number)
    found = calibration(shop, "cli__1").calibrate(timedelta(days=7), RATE)
    assert found["about"]["tested"] == tested
    said = [line for line in told(found) if line.startswith("Monitoring compares")]
    assert len(said) == bool(tested)
    for line in said:
        assert line.startswith(
            f"Monitoring compares {', '.join(tested)} by p-values, and all above are distances: "
        )
        assert "Set monitor.drift.method to jensenshannon or psi (or wasserstein, for numbers)" in line


def test_windows_in_doubt_are_left_out_until_they_are_called_real_or_predicted_anew(shop: Shop) -> None:
    for number in range(WEEKS):
        frame = shop.live_week(number)
    said = {1: None, 2: "fault", 3: "real", 4: None, 5: "real", 6: None, 7: None}
    for number, word in said.items():
        doubt(shop, number, "blocked" if number in {4, 5, 7} else "keep" if number == 6 else "held", word)
    shop.predict(week(7), frame.assign(event_time=shop.customers(week(7))["event_time"]))
    left_out = calibration(shop, "doubts").calibrate(timedelta(days=7), RATE)["about"]["left_out"]
    assert left_out == {week(number).key: f"week {number}" for number in (1, 2, 4)}


def doubt(shop: Shop, number: int, verdict: Any, word: Any) -> None:
    """Put a decision about a week into the ledger, of which an incident asks, and an answer."""
    window, key = week(number), f"visits:{number}"
    shop.ledger.open_incident(Incident(key, "visits", window.start, window.end, ("visits",), 3, "r", "m"))
    if word:
        shop.ledger.answer_incident(IncidentAnswer(key, word, "ann", "seen", datetime.now(UTC)))
    found: dict[str, Any] = {
        "key": key,
        "model": "churn",
        "policy_version": "1",
        "window_start": window.start,
        "window_end": window.end,
        "verdict": verdict,
        "trigger": "none",
        "reason": f"week {number}",
        "evidence": {"incidents": [key]},
        "run_id": None,
        "decided_by": "m",
        "incident_key": key,
    }
    shop.ledger.decide(Decision(**found))


def test_what_cannot_be_calibrated_is_said(shop: Shop) -> None:
    assert latest_calibration(shop.at.runs, "churn") is None
    with pytest.raises(NotReadyError, match="predictions__churn holds nothing yet: run churn__predict"):
        calibration(shop, "none").calibrate(timedelta(days=7), RATE)
    shop.live_week(0)
    with pytest.raises(ConfError, match="holds 1 windows of 7d: nothing can be held against anything"):
        calibration(shop, "one").calibrate(timedelta(days=7), RATE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--every", "soon"], "'soon' is no duration"),
        (["--every", "5s"], "a window lasts a minute at least"),
        (["--from", "2013-01-01"], "--to is missing"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(shop: Shop, options: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["calibrate", "churn", "--root", str(shop.root), *options])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_thresholds_are_found_however_deep_in_a_policy() -> None:
    import yaml

    written = yaml.safe_load(MODEL)
    written["policy"]["rules"] = [
        {"rule": "m_of_n", "m": 2, "n": 3, "of": {"rule": "prediction_drift", "threshold": 0.2}},
        {"rule": "any", "of": [{"rule": "weighted_drift", "threshold": 0.4}, {"rule": "drift_share"}]},
    ]
    model = ModelSpec.model_validate(written)
    assert thresholds_of(model) == {"prediction": 0.2, "weighted": 0.4, "share": 0.5}
