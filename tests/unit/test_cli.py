import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from keepfit.cli.app import app
from keepfit.cli.jobs import Job, follow_ups
from keepfit.cli.person import person
from keepfit.cli.starter_data import orders_csv
from keepfit.embedded.processes import Started
from keepfit.embedded.status import ComponentStatus, Status, write_status
from keepfit.ledger import Decision, Deployment, Ledger, Outcome, Publication, Training
from keepfit.spec import Window, load_project
from keepfit.spec.schema import json_schema


def keepfit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `keepfit new` writes; not to be changed by a test."""
    folder = tmp_path_factory.mktemp("new") / "shop"
    assert keepfit("new", folder).exit_code == 0
    return folder


@pytest.fixture
def shop(starter: Path, tmp_path: Path) -> Path:
    """A copy of the starter, on SQLite, to be changed."""

    folder = shutil.copytree(starter, tmp_path / "shop")
    edit(folder, "keepfit.yaml", "database: embedded", "database: sqlite")
    return folder


def edit(root: Path, file: str, old: str, new: str) -> None:
    path = root / "feature_repo" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_command_is_installed_and_lists_what_it_can_do() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "keepfit", "--help"], capture_output=True, text=True, check=True
    )
    for command in (
        "new",
        "check",
        "schema",
        "list",
        "run",
        "decisions",
        "history",
        "live",
        "release",
        "rollback",
        "up",
        "status",
        "down",
        "env",
    ):
        assert f" {command} " in done.stdout


def test_whoever_has_no_name_on_this_system_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2_147_000_111)
    assert person() == "uid-2147000111"
    monkeypatch.setenv("LOGNAME", "ann")
    assert person() == "ann"


def test_an_unknown_command_or_option_is_a_usage_error() -> None:
    assert keepfit("cheque").exit_code == 2
    assert keepfit("check", "--features-please").exit_code == 2


def test_a_new_project_is_sound_to_the_last_reference(starter: Path) -> None:
    checked = keepfit("check", "--root", starter)
    assert checked.output == "No problems (datasets: 1, models: 1).\n"
    assert checked.exit_code == 0


def test_a_new_project_holds_its_own_name_and_data(starter: Path) -> None:
    assert load_project(starter).spec.project == "shop"
    assert (starter / "data/orders.csv").read_text() == orders_csv()
    assert (starter / "feature_repo/.schemas/model.json").exists()
    assert (starter / ".airflowignore").exists()
    assert not any("PROJECT_NAME" in path.read_text() for path in starter.rglob("*.yaml"))


def test_the_change_is_in_the_data_from_the_first_of_may() -> None:
    rows = [line.split(",") for line in orders_csv().splitlines()[1:]]
    before = [row for row in rows if row[1] < "2024-05-01"]
    after = [row for row in rows if row[1] >= "2024-05-01"]
    assert (len(before), len(after)) == (121 * 60, 61 * 60)

    def share(of: list[list[str]], column: int, value: str) -> float:
        return sum(row[column] == value for row in of) / len(of)

    assert share(after, 2, "clothes") > share(before, 2, "clothes") + 0.2
    assert share(after, 7, "1") > share(before, 7, "1") + 0.2


@pytest.mark.parametrize(
    ("folder", "name"), [("My Shop!", "my_shop"), ("2024", "project_2024"), ("Übung-1", "bung_1")]
)
def test_a_projects_name_is_made_from_the_folders(tmp_path: Path, folder: str, name: str) -> None:
    assert keepfit("new", tmp_path / folder).exit_code == 0
    assert load_project(tmp_path / folder).spec.project == name


def test_nothing_is_written_over(shop: Path) -> None:
    refused = keepfit("new", shop)
    assert refused.exit_code == 1
    assert refused.stderr == f"{shop} exists and is not an empty folder. Name another one.\n"


def test_check_tells_all_problems_with_their_lines_and_ends_with_1(shop: Path) -> None:
    edit(shop, "models/returns.yaml", "features: orders", "featuers: orders")
    edit(shop, "datasets/orders.yaml", "price: float64", "price: money")
    checked = keepfit("check", "--root", shop)
    assert checked.exit_code == 1
    assert "models/returns.yaml: featuers: unknown field. Did you mean 'features'? (line 8)" in checked.stdout
    assert "datasets/orders.yaml: columns.price: needs one of string, int64" in checked.stdout
    assert checked.stderr == f"3 problems in {shop}\n"


def test_check_names_a_file_that_is_no_text_whether_a_dataset_reads_it_or_not(shop: Path) -> None:
    repo = shop / "feature_repo"
    (repo / "expectations/orders.yaml").write_bytes(b"name: \xff")
    (repo / "transforms").mkdir()
    (repo / "transforms/old.sql").write_bytes(b"\xe9")
    checked = keepfit("check", "--no-features", "--root", shop)
    assert checked.stdout.splitlines() == [
        "datasets/orders.yaml: expectations: expectations/orders.yaml is not UTF-8 text (byte 6). "
        "Save it as UTF-8. (line 18)",
        "transforms/old.sql: is not UTF-8 text (byte 0). Save it as UTF-8.",
    ]


def test_check_names_the_models_that_wait_for_a_broken_dataset(shop: Path) -> None:
    edit(shop, "datasets/orders.yaml", "key: [order_id]", "kee: 1\nkey: [order_id]")
    told = keepfit("check", "--root", shop).stdout.splitlines()
    assert told[0].startswith("datasets/orders.yaml: kee: unknown field. Did you mean 'key'?")
    assert told[-1].startswith(
        "models/returns.yaml: features: The feature service 'orders' reads a dataset that is left out: "
        "datasets/orders.yaml: kee: unknown field. Did you mean 'key'?"
    )
    refused = keepfit("run", "returns", "--as-of", "2024-05-01", "--root", shop)
    assert refused.exit_code == 1
    assert "datasets/orders.yaml: kee: unknown field. Did you mean 'key'?" in refused.stderr


def test_check_looks_up_every_plugin_that_a_spec_names(shop: Path) -> None:
    edit(shop, "models/returns.yaml", "trainer: lightgbm", "trainer: lightgmb")
    edit(shop, "models/returns.yaml", "cost_of_returns]", "cost_of_return]")
    edit(shop, "models/returns.yaml", "objective: log_loss", "objective: logloss")
    edit(shop, "datasets/orders.yaml", "type: files", "type: plugin")
    edit(shop, "datasets/orders.yaml", "path: data/orders.csv", "name: shop_source:rows")
    found = keepfit("check", "--no-features", "--root", shop).stdout.splitlines()
    assert len(found) == 4
    assert found[0].startswith("datasets/orders.yaml: source.name: The plugin 'shop_source:rows'")
    assert found[1].startswith("models/returns.yaml: train.candidates[0].trainer: No plugin 'lightgmb'")
    assert found[2].startswith(
        "models/returns.yaml: evaluate.objective: No plugin 'logloss' in 'keepfit.metrics'."
    )
    assert "Did you mean 'log_loss'?" in found[2]
    assert "evaluate.metrics[2]: The plugin 'shop_metrics:cost_of_return'" in found[3]


def test_check_knows_the_expectations_of_great_expectations(shop: Path) -> None:
    edit(shop, "expectations/orders.yaml", "values_to_be_unique", "values_to_be_uniqe")
    edit(shop, "expectations/orders.yaml", "min_value: 0", "least: 0")
    checked = keepfit("check", "--no-features", "--root", shop)
    assert checked.exit_code == 1
    first, second = checked.stdout.splitlines()
    assert first == (
        "expectations/orders.yaml: expectations[0]: no expectation is named "
        "'expect_column_values_to_be_uniqe'. Did you mean 'expect_column_values_to_be_unique'? (line 4)"
    )
    assert second.startswith(
        "expectations/orders.yaml: expectations[2]: expect_column_values_to_be_between does not take"
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "models/returns.yaml",
            "features: orders",
            "features: order",
            "models/returns.yaml: features: No feature service is named 'order'. Did you mean 'orders'?",
        ),
        (
            "features.py",
            'Field(name="items", dtype=Int64)',
            'Field(name="returned", dtype=Int64)',
            "models/returns.yaml: label.column: 'returned' is also a feature of 'orders', which would",
        ),
        (
            "features.py",
            'join_keys=["order_id"]',
            'join_keys=["category"]',
            "models/returns.yaml: entities.columns: lacks 'category', which the feature service",
        ),
        (
            "models/returns.yaml",
            "min_rows: 200}",
            "min_rows: 200, columns: [prize]}",
            "models/returns.yaml: monitor.drift.columns: 'orders' has no feature 'prize'. Did you mean",
        ),
        (
            "datasets/orders.yaml",
            "[order_facts]",
            "[order_fact]",
            "datasets/orders.yaml: feature_views: no feature view is named 'order_fact'. Did you mean",
        ),
        (
            "features.py",
            "order = Entity(",
            "order = Entiti(",
            "features.py: ",
        ),
    ],
)
def test_check_holds_the_models_against_the_features(
    shop: Path, file: str, old: str, new: str, told: str
) -> None:
    edit(shop, file, old, new)
    checked = keepfit("check", "--root", shop)
    assert checked.exit_code == 1
    assert checked.stdout.startswith(told)
    assert not (shop / ".keepfit").exists()  # A check registers nothing.


def test_a_project_is_found_from_any_folder_in_it(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop / "feature_repo" / "models")
    assert keepfit("check", "--no-features").exit_code == 0
    assert keepfit("check", "--no-features", "--root", shop / "feature_repo").exit_code == 0


def test_outside_a_project_the_way_in_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = keepfit("list")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr == (
        f"Neither {tmp_path} nor a folder above it holds a feature_repo/. "
        "Go to a project, name it with --root, or begin one with `keepfit new DIR`.\n"
    )


def test_schema_prints_one_kind_or_writes_all(shop: Path) -> None:
    assert json.loads(keepfit("schema", "dataset").stdout) == json_schema("dataset")
    assert set(json.loads(keepfit("schema").stdout)) == {"dataset", "model", "project"}
    assert keepfit("schema", "notebook").exit_code == 2
    written = keepfit("schema", "--write", "--root", shop).stdout
    assert written.splitlines() == [
        f"feature_repo/.schemas/{kind}.json" for kind in ("dataset", "model", "project")
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["orders", "--from", "2024-02-01", "--to", "2024-01-01"], "its end must be later than its start"),
        (["orders", "--from", "2024-01-01", "--to", "2999-01-01"], "The window ends at 2999"),
        (["orders", "--from", "2024-01-01", "--to", "2999-01-01"], "which is in the future"),
        (["orders", "--from", "May", "--to", "2024-01-01"], "start is 'May', which is no ISO 8601 time."),
        (["returns", "--as-of", "2999-01-01"], "--as-of is 2999-01-01, which is in the future"),
        (["returns", "--as-of", "soon"], "--as-of is 'soon', which is no ISO 8601 time."),
        (
            ["order"],
            "No dataset or model is named 'order'. Did you mean 'orders'? There are: orders, returns.",
        ),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_anything_is_written(
    shop: Path, arguments: list[str], told: str
) -> None:
    refused = keepfit("run", *arguments, "--root", shop)
    assert refused.exit_code == 1
    assert told in refused.stderr
    assert not (shop / ".keepfit").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["orders"], "--from and --to is missing: to ingest needs a window."),
        (["orders", "--from", "2024-01-01"], "--to is missing"),
        (["returns", "--step", "predict"], "to predict needs a window."),
        (["returns", "--step", "deploy"], "'deploy' is not one of"),
        (["returns", "--version", "3"], "--version has no meaning here: this would train."),
        (["orders", "--as-of", "2024-01-01"], "--as-of has no meaning here: this would ingest."),
        (["returns", "--promotion", "maybe"], "'maybe' is not one of"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    shop: Path, arguments: list[str], told: str
) -> None:
    refused = keepfit("run", *arguments, "--root", shop)
    assert refused.exit_code == 2
    assert told in " ".join(refused.stderr.replace("│", " ").split())


def test_rows_lost_between_two_times_are_warned_of_on_the_command_line(shop: Path) -> None:
    edit(shop, "datasets/orders.yaml", "ordered_at: timestamp", "ordered_at: timestamp\n  sent_at: timestamp")
    edit(
        shop,
        "datasets/orders.yaml",
        "event_time: ordered_at",
        "event_time: ordered_at\nwindow_column: sent_at",
    )
    edit(shop, "datasets/orders.yaml", "expectations:", "# expectations:")
    edit(shop, "datasets/orders.yaml", "feature_views:", "# feature_views:")
    head, *rows = (shop / "data/orders.csv").read_text().splitlines()
    sent = [f"{row},2024-01-0{2 if day < 60 else 3}T00:00:00Z" for day, row in enumerate(rows[:100])]
    (shop / "data/orders.csv").write_text("\n".join([f"{head},sent_at", *sent, ""]))
    done = keepfit("run", "orders", "--from", "2024-01-02", "--to", "2024-01-03", "--root", shop)
    assert done.exit_code == 0, done.output
    assert (
        "WARNING 60 rows that 'sent_at' places in 20240102T000000Z_20240103T000000Z have their event time "
        "'ordered_at' outside it. They are left out, and no other window reads them."
    ) in done.output


def test_a_broken_file_is_told_by_the_run_that_needs_it(shop: Path) -> None:
    edit(shop, "models/returns.yaml", "features: orders", "featuers: orders")
    refused = keepfit("run", "returns", "--root", shop)
    assert refused.exit_code == 1
    assert "models/returns.yaml: featuers: unknown field. Did you mean 'features'?" in refused.stderr


@pytest.fixture
def lived(shop: Path) -> Path:
    """A shop whose ledger has something to tell."""
    assert keepfit("list", "--root", shop).exit_code == 0  # Makes the ledger.
    ledger = Ledger(load_project(shop).locations.ledger_url)
    window = Window.parse("2024-04-01", "2024-04-08")
    ledger.record_publication(Publication("orders", window.start, window.end, 420, "d", 1, "run"))
    ledger.decide(
        Decision(
            "k",
            "returns",
            "p",
            window.start,
            window.end,
            "keep",
            "none",
            "0 of 5 columns drifted",
            {},
            None,
            "me",
        )
    )
    ledger.record_deployment(
        Deployment("returns", "champion", None, "1", "returns__train", "the first", None, "run")
    )
    return shop


def test_list_shows_how_far_everything_is(lived: Path) -> None:
    lines = keepfit("list", "--root", lived).stdout.splitlines()
    assert lines[0].split() == ["DATASET", "SCHEDULE", "PUBLISHED", "FROM", "TO", "GAPS"]
    assert re.split(r" {2,}", lines[1]) == ["orders", "-", "2024-04-01 00:00", "2024-04-08 00:00", "-"]
    model = re.split(r" {2,}", lines[4])
    assert model[:3] == ["returns", "orders", "version 1"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d", model[3])
    assert model[4:] == ["-", "-", "-", "keep, 2024-04-08 00:00", "0 of 5 columns drifted"]


def test_list_shows_the_gaps_and_how_to_fill_them(lived: Path) -> None:
    ledger = Ledger(load_project(lived).locations.ledger_url)
    for number, (start, end) in enumerate(
        [("04-07", "04-10"), ("04-15", "04-16"), ("04-17", "04-18"), ("04-19", "04-20"), ("04-21", "04-22")]
    ):
        window = Window.parse(f"2024-{start}", f"2024-{end}")
        ledger.record_publication(Publication("orders", window.start, window.end, 60, "d", number + 2, "run"))
    lines = keepfit("list", "--root", lived).stdout.splitlines()
    assert re.split(r" {2,}", lines[1]) == ["orders", "-", "2024-04-01 00:00", "2024-04-22 00:00", "4"]
    assert lines[2] == "gap: keepfit run orders --from 2024-04-10T00:00:00Z --to 2024-04-15T00:00:00Z"
    assert lines[5] == "and 1 more gaps in orders"


def test_a_training_that_failed_is_done_again_and_one_that_was_judged_is_not(
    lived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, window = load_project(lived), Window.parse("2024-04-01", "2024-04-08")
    monitoring = Job.of(project, "monitor", "returns", window, {})
    conf = {"as_of": window.end.isoformat(), "reason": "drift", "decision": "k"}
    decided = {"decide": {"run_id": "decision__1", "conf": conf}}
    ledger = Ledger(project.locations.ledger_url)
    failed = Training("decision__1", "returns", "k", window.end, None, "error", ("the disk was full",), {})
    ledger.record_training(failed)
    (again,) = follow_ups(project, monitoring, decided)
    assert (again.run_id, again.settings["as_of"]) == ("decision__1", window.end.isoformat())
    ledger.record_training(replace(failed, verdict="undecided", version="2"))
    assert follow_ups(project, monitoring, decided) == []
    assert "is done already (run decision__1)" in capsys.readouterr().out


def test_audit_names_a_row_that_was_changed_by_hand_and_a_head_that_is_gone(lived: Path) -> None:
    whole = keepfit("audit", "--root", lived)
    links, findings, head = (line.split()[-1] for line in whole.stdout.splitlines())
    assert (whole.exit_code, links, findings, len(head)) == (0, "4", "0", 64)
    assert keepfit("audit", "--head", head, "--root", lived).exit_code == 0
    for nothing in ("", head[:10]):
        refused = keepfit("audit", "--head", nothing, "--root", lived)
        assert (refused.exit_code, "64 letters and digits" in refused.output) == (2, True)
    other = keepfit("audit", "--head", "0" * 63 + "1", "--root", lived)
    assert (other.exit_code, "which was noted earlier: not in the chain" in other.stderr) == (1, True)
    ledger = str(load_project(lived).locations.ledger_url).removeprefix("sqlite:///")
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("DROP TRIGGER decisions_refuse_update")
        connection.execute("UPDATE decisions SET verdict = 'retrain'")
    changed = keepfit("audit", "--root", lived)
    assert (changed.exit_code, changed.stdout.splitlines()[1]) == (1, "findings  1")
    assert changed.stderr.startswith('decisions, row ["k"]: changed since link 2 sealed it. Put it right')


def test_loop_shows_what_each_decision_to_train_came_to(lived: Path) -> None:
    ledger = Ledger(load_project(lived).locations.ledger_url)
    assert keepfit("loop", "returns", "--root", lived).stderr == (
        "No decision about returns has asked for a training; --all shows those there are, 1.\n"
    )
    window, later = Window.parse("2024-04-08", "2024-04-15"), Window.parse("2024-04-15", "2024-04-22")
    bounds = window.start, window.end
    ledger.decide(Decision("r", "returns", "p", *bounds, "retrain", "drift", "much drift", {}, "t", "me"))
    ledger.record_training(Training("t", "returns", "r", window.end, "2", "pass", (), {}))
    ledger.record_deployment(Deployment("returns", "champion", "1", "2", "returns__train", "won", "r", "t"))
    ledger.record_outcomes(
        Outcome("returns", version, "champion", each.start, each.end, "log_loss", value, 70, 1.0, "m")
        for version, each, value in (("1", window, 0.6931), ("2", later, 0.5))
    )
    head, row = keepfit("loop", "returns", "--root", lived).stdout.splitlines()
    assert head.split()[:4] == ["WINDOW", "END", "VERDICT", "TRIGGER"]
    cells = re.split(r" {2,}", row)
    assert cells[:5] == ["2024-04-15 00:00", "retrain", "drift", "pass", "2"]
    assert cells[6:] == ["-", "log_loss", "0.5", "70", "0.6931", "70", "much drift"]
    both = keepfit("loop", "returns", "--all", "--root", lived).stdout.splitlines()
    assert "0 of 5 columns drifted" in both[1]
    ledger.record_deployment(Deployment("returns", "champion", "2", "1", "anna", "worse", None, "back"))
    assert " (taken back)  log_loss" in keepfit("loop", "returns", "--root", lived).stdout


def test_list_says_what_it_leaves_out(shop: Path) -> None:
    edit(shop, "models/returns.yaml", "features: orders", "featuers: orders")
    assert (
        "models/returns.yaml has problems and is left out: see `keepfit check`."
        in keepfit("list", "--root", shop).stderr
    )


def test_decisions_and_history_give_reasons(lived: Path) -> None:
    assert keepfit("decisions", "returns", "--root", lived).stdout.splitlines() == [
        "WINDOW END        VERDICT  TRIGGER  TRAINING  REASON",
        "2024-04-08 00:00  keep     none     -         0 of 5 columns drifted",
    ]
    ledger = Ledger(load_project(lived).locations.ledger_url)
    as_of = Window.parse("2024-04-01", "2024-04-08").end
    ledger.record_training(Training("t2", "returns", None, as_of, "2", "undecided", ("within chance",), {}))
    head, move, astray, _, trained, end = keepfit("history", "returns", "--root", lived).stdout.splitlines()
    assert trained.split() == ["TRAINED", "AS", "OF", "VERSION", "VERDICT", "RUN", "REASONS"]
    assert end.split() == ["2024-04-08", "00:00", "2", "undecided", "t2", "within", "chance"]
    assert head.split() == ["SINCE", "ROLE", "FROM", "TO", "SHARE", "WHO", "WHY"]
    assert move.split()[2:] == ["champion", "-", "1", "-", "returns__train", "the", "first"]
    assert astray.startswith(
        "WARNING The champion of returns is none, but the ledger deployed version 1 last"
    )
    assert (
        "No model is named 'return'. Did you mean 'returns'?"
        in keepfit("decisions", "return", "--root", lived).stderr
    )


def test_env_makes_another_shell_find_the_stores(shop: Path) -> None:
    lines = keepfit("env", "--root", shop).stdout.splitlines()
    assert f"export KEEPFIT_HOME={shop}/.keepfit" in lines
    assert f"export KEEPFIT_LEDGER_URL=sqlite:///{shop}/.keepfit/ledger.db" in lines
    assert all(line.startswith("export KEEPFIT_") for line in lines)


def test_status_of_what_was_never_started_is_stopped_and_ends_with_1(shop: Path) -> None:
    looked = keepfit("status", "--root", shop)
    assert (looked.stdout, looked.exit_code) == ("stopped\n", 1)


def test_status_of_what_was_stopped_says_so_once_and_shows_no_process(shop: Path) -> None:
    home = load_project(shop).locations.home
    old = ComponentStatus("scheduler", "stopped", Started(4711, 0.0), 0, home / "scheduler.log")
    write_status(Status(home, "stopped", "stopped", components=(old,)))
    assert keepfit("status", "--root", shop).stdout == "stopped\n"


@pytest.mark.slow
def test_a_warning_is_told_in_words_and_nothing_else_disturbs(shop: Path) -> None:
    edit(shop, "expectations/orders.yaml", "[books, clothes, toys]", "[books, clothes]")
    window = ("--from", "2024-01-01", "--to", "2024-01-08")
    done = subprocess.run(
        [sys.executable, "-m", "keepfit", "run", "orders", *window, "--root", shop],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    began = next(number for number, line in enumerate(lines) if line.startswith("  validate"))
    assert lines[began].endswith("s  420 rows: 1 of 5 expectations not met")
    assert re.fullmatch(
        r" {6}WARNING category: expect_column_values_to_be_in_set: \d+ of 420 rows \(.*%\), such as toys "
        r"\(expected: value_set \['books', 'clothes'\]\)",
        lines[began + 1],
    )
    assert lines[began + 2].startswith(
        "      The window is published all the same. Correct the source and run"
    )
    assert Path(lines[began + 2].rpartition(" ")[2]).name == "validation.html"


@pytest.mark.slow
def test_what_computed_rows_do_not_meet_is_told_where_they_are_computed(shop: Path) -> None:
    repo = shop / "feature_repo"
    (repo / "datasets/dear.yaml").write_text(
        "name: dear\nsource: {type: datasets, inputs: [orders]}\nkey: [order_id]\nevent_time: ordered_at\n"
        "transform: dear\nexpectations: dear\n"
    )
    (repo / "transforms").mkdir()
    (repo / "transforms/dear.sql").write_text("SELECT order_id, ordered_at, price FROM orders\n")
    (repo / "expectations/dear.yaml").write_text(
        "name: dear\nexpectations:\n  - {type: expect_column_values_to_be_between, "
        "kwargs: {column: price, min_value: 50}, severity: warning}\n"
    )
    window = ("--from", "2024-01-01", "--to", "2024-01-08", "--root", str(shop))
    assert keepfit("run", "orders", *window).exit_code == 0
    lines = keepfit("run", "dear", *window).stdout.splitlines()
    told = {line.split()[0]: line for line in lines}
    assert told["validate"].endswith("later, on the rows that are computed")
    assert "WARNING price: expect_column_values_to_be_between: " in told["WARNING"]
    assert lines.index(told["WARNING"]) > lines.index(told["transform"])


@pytest.mark.slow
def test_the_loop_closes_without_airflow(shop: Path) -> None:
    def run(*arguments: str) -> str:
        done = keepfit("run", *arguments, "--root", shop)
        assert done.exit_code == 0, done.output
        return done.stdout

    change = ("--from", "2024-05-01", "--to", "2024-05-08")
    refused = keepfit("run", "returns", "--step", "predict", *change, "--root", shop)
    assert "Not published for 20240501T000000Z_20240508T000000Z yet: orders." in refused.stderr
    assert "`keepfit run orders --from 2024-05-01T00:00:00Z --to 2024-05-08T00:00:00Z`" in refused.stderr

    ingested = run("orders", "--from", "2024-01-01", "--to", "2024-05-01")
    assert [line.split()[0] for line in ingested.splitlines()[1:]] == [
        "extract", "check_schema", "validate", "transform", "publish", "materialize", "outdated",
    ]  # fmt: skip
    trained = run("returns", "--as-of", "2024-05-01", "--reason", "the first")
    assert "verify" in trained
    assert "version 1 is champion\n" in trained
    run("orders", *change)
    assert "rows=420" in run("returns", "--step", "predict", *change)

    watched = run("returns", "--step", "monitor", *change)
    assert "verdict: retrain, called for by drift_share\n      2 of 5 columns drifted" in watched
    assert (
        "returns: train as of 2024-05-08T00:00:00+00:00 (run decision__20240501T000000Z_20240508T000000Z"
        in watched
    )

    shown = watched.splitlines()
    began = next(number for number, line in enumerate(shown) if line.startswith("  evaluate"))
    assert shown[began].endswith("rows of the holdout, 2024-04-21 to 2024-04-30")
    assert shown[began + 1].split() == [
        "MODEL", "log_loss", "(objective)", "roc_auc", "brier", "shop_metrics:cost_of_returns",
    ]  # fmt: skip
    roles = [line.split("  ")[3].strip() for line in shown[began + 2 : began + 6]]
    assert roles == [
        "candidate, lightgbm",
        "challenger, LogisticRegression",
        "champion, version 1",
        "baseline, the mean label",
    ]
    assert shown[began + 6].endswith(("verdict: undecided", "verdict: fail"))
    compared = r"log_loss 0\.\d{4} is not (clearly )?better than the champion's 0\.\d{4} \(difference .*\]\)"
    why = rf"{compared} by the 0\.\d+ asked for \(3 % of the champion's lead over the baseline\)"
    assert re.fullmatch(rf" {{6}}{why}", shown[began + 7])
    assert "version 2 is registered, but not deployed" in watched

    again = run("returns", "--step", "monitor", *change)
    assert "The training that this asks for is done already (run decision__" in again
    ledger = Ledger(load_project(shop).locations.ledger_url)
    assert len(ledger.decisions("returns")) == 1
    assert len(ledger.trainings("returns")) == 2
    assert "the first" in keepfit("history", "returns", "--root", shop).stdout


@pytest.mark.slow
def test_an_edit_is_planned_applied_and_refused_on_the_command_line(shop: Path) -> None:
    assert (
        keepfit("run", "orders", "--from", "2024-01-01", "--to", "2024-04-01", "--root", shop).exit_code == 0
    )
    assert keepfit("plan", "--root", shop).output == "Nothing differs from what is applied.\n"
    edit(shop, "datasets/orders.yaml", "returned: int64", "returned: float64")
    (line,) = (each for each in keepfit("plan", "--root", shop).output.splitlines() if "`" in each)
    told, command, _ = line.split("`")
    assert told == "orders keeps its published rows: "
    assert (
        command == "keepfit run orders --full-refresh --from 2024-01-01T00:00:00Z --to 2024-04-01T00:00:00Z"
    )
    refreshed = keepfit(*command.split()[1:], "--root", shop)
    assert refreshed.exit_code == 0, refreshed.output
    edit(shop, "datasets/orders.yaml", "returned: float64", "returned: int64")
    assert keepfit("plan", "--root", shop).output == "Nothing differs from what is applied.\n"
    edit(shop, "features.py", "ttl=timedelta(", "ttl=2 * timedelta(")
    planned = keepfit("plan", "--root", shop)
    assert "~ feature view order_facts: ttl " in planned.output
    assert "will materialise order_facts whole" in planned.output
    applied = keepfit("apply", "--root", shop).output
    assert "order_facts: materialised until " in applied
    assert "returns: not trained, no champion yet: its first training is not up to an edit" in applied
    looked = keepfit("features", "--root", shop)
    assert looked.exit_code == 0, looked.output
    assert looked.output.splitlines()[1].split() == [
        "order_facts",
        "2024-03-31",
        "22:38",
        "60d",
        "yes",
        "yes",
    ]
    edit(shop, "features.py", 'name="orders", features', 'name="other", features')
    refused = keepfit("plan", "--root", shop)
    assert refused.exit_code == 1
    assert "problem: models/returns.yaml: features: No feature service is named 'orders'" in refused.output
    edit(shop, "features.py", 'name="other", features', 'name="orders", features')
    edit(shop, "datasets/orders.yaml", "key:", "keys:")
    broken = keepfit("plan", "--root", shop)
    assert broken.output.startswith("problem: datasets/orders.yaml: ")
    assert broken.exit_code == 1


@pytest.mark.slow
def test_the_training_of_an_apply_that_was_killed_is_done_by_the_next(shop: Path) -> None:
    for arguments in (
        ("orders", "--from", "2024-01-01", "--to", "2024-05-01"),
        ("returns", "--as-of", "2024-05-01"),
    ):
        done = keepfit("run", *arguments, "--root", shop)
        assert done.exit_code == 0, done.output
    edit(shop, "models/returns.yaml", "features: orders ", "features: sales ")
    planned = keepfit("plan", "--root", shop).output
    # No edit was ever applied: the features are those that the live version was trained on.
    assert "~ model returns: features orders -> sales\n" in planned
    edit(shop, "models/returns.yaml", "features: sales ", "features: orders ")
    edit(shop, "features.py", "ttl=timedelta(", "ttl=2 * timedelta(")
    command = [sys.executable, "-u", "-m", "keepfit", "apply", "--root", str(shop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert any(line.startswith("returns: train as of 2024-05-01") for line in killed.stdout)
        killed.kill()
    ledger = Ledger(load_project(shop).locations.ledger_url)
    (decision,) = ledger.decisions("returns")
    assert decision.run_id not in {each.run_id for each in ledger.trainings("returns")}
    again = keepfit("apply", "--root", shop)
    assert again.exit_code == 0, again.output
    assert again.output.startswith(
        "Nothing differs from what is applied.\n  returns: feature_repo/ was edited"
    )
    assert decision.run_id in {each.run_id for each in ledger.trainings("returns")}
    assert "returns" not in keepfit("apply", "--root", shop).output
