from pathlib import Path
from textwrap import dedent

import pytest

from keepfit.errors import ConfError, SpecError
from keepfit.spec import Problem, check_project, load_dataset, load_model, load_project
from keepfit.spec.window import parse_moment

ORDERS = """\
    name: orders
    source: {type: files, path: data/orders.csv}
    columns: {order_id: string, ordered_at: timestamp, price: float64, returned: int64}
    key: [order_id]
    event_time: ordered_at
    """
RETURNS = """\
    name: returns
    task: classification
    entities: {dataset: orders}
    features: orders
    label: {column: returned, delay: 14d}
    train:
      holdout: 21d
      candidates:
        - trainer: lightgbm
    evaluate: {objective: log_loss}
    """


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A sound project of one dataset and one model."""
    folder = tmp_path / "feature_repo"
    write(folder, "keepfit.yaml", "project: shop\ndatabase: sqlite\n")
    write(folder, "datasets/orders.yaml", ORDERS)
    write(folder, "models/returns.yaml", RETURNS)
    return folder


def write(repo: Path, file: str, text: str) -> Path:
    path = repo / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


def edit(repo: Path, file: str, old: str, new: str) -> None:
    text = (repo / file).read_text()
    assert old in text
    (repo / file).write_text(text.replace(old, new))


def problems(repo: Path) -> list[str]:
    return [str(problem) for problem in check_project(repo.parent)]


def test_a_sound_project_loads_from_its_root_and_from_its_feature_repo(repo: Path) -> None:
    from_root, from_repo = load_project(repo.parent), load_project(repo)
    assert from_root == from_repo
    assert from_root.root == repo.parent
    assert list(from_root.datasets) == ["orders"]
    assert list(from_root.models) == ["returns"]
    assert check_project(repo) == ()


def test_a_typo_is_told_with_file_field_and_hint(repo: Path) -> None:
    edit(repo, "models/returns.yaml", "features: orders", "featuers: orders")
    assert problems(repo)[-1] == "models/returns.yaml: featuers: unknown field. Did you mean 'features'?"


def test_a_problem_knows_its_line(repo: Path) -> None:
    edit(repo, "models/returns.yaml", "trainer: lightgbm", "trainer: lightgbm\n      trainr: x")
    problem = check_project(repo)[0]
    assert problem == Problem("models/returns.yaml", "train.candidates[0].trainr", problem.message)
    assert problem.line == 10


def test_all_problems_of_all_files_are_told_at_once(repo: Path) -> None:
    write(repo, "keepfit.yaml", "project: shop\nslots: many\n")
    edit(repo, "datasets/orders.yaml", "key: [order_id]", "key: []")
    edit(repo, "models/returns.yaml", "holdout: 21d", "holdout: 21 days\n  seed: abc")
    write(repo, "models/other.yaml", "name: [other")
    assert problems(repo) == [
        "keepfit.yaml: slots: wrong type: needs a whole number, got 'many'.",
        "datasets/orders.yaml: key: must not be empty.",
        "models/other.yaml: is not YAML: did not find expected ',' or ']'.",
        "models/returns.yaml: train.holdout: '21 days' is no duration. "
        "Write a number and one of s, m, h, d, w, such as 14d or 36h.",
        "models/returns.yaml: train.seed: wrong type: needs a whole number, got 'abc'.",
    ]


def test_one_bad_file_does_not_hide_the_others(repo: Path) -> None:
    write(repo, "models/bad.yaml", "name: bad\n")
    project = load_project(repo)
    assert list(project.models) == ["returns"]
    assert {problem.file for problem in project.problems} == {"models/bad.yaml"}
    with pytest.raises(SpecError, match=r"models/bad.yaml: task: is missing. Classification is binary."):
        project.model("bad")


def test_a_project_without_a_sound_keepfit_yaml_is_refused(repo: Path) -> None:
    edit(repo, "keepfit.yaml", "sqlite", "sqlit")
    with pytest.raises(SpecError) as refused:
        load_project(repo)
    assert str(refused.value) == (
        "keepfit.yaml: database: needs one of embedded, sqlite, external, got 'sqlit'. Did you mean 'sqlite'?"
    )
    (repo / "keepfit.yaml").unlink()
    with pytest.raises(SpecError, match=r"keepfit.yaml: cannot be read: No such file or directory"):
        load_project(repo)


def test_a_folder_without_a_feature_repo_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"holds no feature_repo/.*begin one with `keepfit new DIR`"):
        load_project(tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest(repo: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load_project(repo).dataset("order")
    assert str(refused.value) == (
        "No dataset is named 'order'. Did you mean 'orders'? There are: orders. "
        "Add feature_repo/datasets/order.yaml, or correct the name."
    )


def test_one_file_loads_by_its_path_or_is_refused(repo: Path) -> None:
    assert load_dataset(repo / "datasets/orders.yaml").key == ("order_id",)
    assert load_model(repo / "models/returns.yaml").label.column == "returned"
    edit(repo, "models/returns.yaml", "classification", "clasification")
    with pytest.raises(
        SpecError, match=r"^models/returns.yaml: task: needs one of classification, regression"
    ):
        load_model(repo / "models/returns.yaml")


def test_a_key_given_twice_is_refused_since_yaml_would_keep_the_last(repo: Path) -> None:
    edit(repo, "models/returns.yaml", "label:", "label: {column: price, delay: 1d}\nlabel:")
    assert problems(repo) == [
        "models/returns.yaml: label: is given twice, in lines 5 and 6. Keep one of the two."
    ]


def test_a_name_is_the_files_name(repo: Path) -> None:
    edit(repo, "models/returns.yaml", "name: returns", "name: refunds")
    assert problems(repo) == [
        "models/returns.yaml: name: is 'refunds', but the file is returns.yaml. Make the two the same."
    ]


@pytest.mark.parametrize("misplaced", ["models/more/returns2.yaml", "models/returns2.yml"])
def test_a_file_where_keepfit_does_not_look_is_not_passed_over(repo: Path, misplaced: str) -> None:
    write(repo, misplaced, RETURNS.replace("name: returns", "name: returns2"))
    assert problems(repo) == [f"{misplaced}: is not where keepfit looks. Move it to models/returns2.yaml."]


def test_a_dataset_and_a_model_cannot_share_a_name(repo: Path) -> None:
    write(repo, "models/orders.yaml", RETURNS.replace("name: returns", "name: orders"))
    assert problems(repo) == [
        "models/orders.yaml: name: 'orders' is also the name of a dataset. Rename one of them."
    ]


@pytest.mark.parametrize(
    ("name", "why"), [("a__train", "two underscores in a row"), ("keepfit", "taken by keepfit's own DAGs")]
)
def test_a_name_that_could_be_taken_for_another_dag_is_refused(repo: Path, name: str, why: str) -> None:
    write(repo, f"models/{name}.yaml", RETURNS.replace("name: returns", f"name: {name}"))
    assert len(problems(repo)) == 1
    assert why in problems(repo)[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            """
            monitor: {drift: null}
            policy:
              rules:
                - {rule: performance}
                - {rule: any, of: [{rule: m_of_n, m: 2, n: 3, of: {rule: drift_share}}]}
                - {rule: weighted_drift, threshold: 0.2}
                - {rule: prediction_drift, threshold: 0.2}
            """,
            [
                "policy.rules[1].of[0].of: `drift_share` goes by `monitor.drift`",
                "policy.rules[2]: `weighted_drift` goes by `monitor.drift`",
                "policy.rules[3]: `prediction_drift` goes by `monitor.drift`",
            ],
        ),
        (
            """
            monitor: {performance: null}
            policy: {rules: [{rule: drift_share}, {rule: performance}]}
            """,
            ["policy.rules[1]: `performance` goes by `monitor.performance`"],
        ),
    ],
)
def test_a_rule_that_goes_by_what_is_not_measured_is_refused(repo: Path, text: str, told: list[str]) -> None:
    write(repo, "models/returns.yaml", dedent(RETURNS) + dedent(text))
    assert problems(repo) == [
        f"models/returns.yaml: {each}, which is null: it could never ask. Take the rule out, or measure it."
        for each in told
    ]


def test_a_policy_by_default_that_is_not_measured_asks_for_one_of_its_own(repo: Path) -> None:
    write(repo, "models/returns.yaml", dedent(RETURNS) + "monitor: {performance: null}\n")
    assert problems(repo) == [
        "models/returns.yaml: policy: its default rule `performance` goes by `monitor.performance`, which is "
        "null: it could never ask. Write `rules` without it, or measure it."
    ]


@pytest.mark.parametrize(
    ("every", "monitor", "gate", "length"),
    [
        ("@daily", "{}", "{}", "1d"),
        ("@hourly", "{}", "{}", "1h"),
        (None, "{schedule: '0 0 */3 * *'}", "{}", "3d"),
        ("@weekly", "{schedule: '@daily'}", "{}", "1d"),
        ("@weekly", "{}", "{block: week}", "7d"),
        ("@daily", "{schedule: '@weekly'}", "{}", None),
        ("@daily", "{schedule: '@quarterly'}", "{}", None),
        ("0 0 */4 * *", "{}", "{}", None),
        ("0 0 1,21 * *", "{}", "{block: week}", None),
        (None, "{}", "{}", None),
    ],
)
def test_regret_on_windows_that_never_hold_enough_days_is_refused(
    repo: Path, every: str | None, monitor: str, gate: str, length: str | None
) -> None:
    rules = "[{rule: calendar, every: 91d}, {rule: any, of: [{rule: regret, cost: 0.1}]}]"
    said = f"monitor: {monitor}\npolicy: {{rules: {rules}}}\n"
    evaluate = dedent(RETURNS).replace("objective: log_loss", f"objective: log_loss, gate: {gate}")
    write(repo, "models/returns.yaml", evaluate + said)
    if every:
        edit(repo, "datasets/orders.yaml", "key:", f"schedule: '{every}'\nkey:")
    needed = 18 if "week" in gate else 5
    assert problems(repo) == [
        "models/returns.yaml: policy.rules[1].of[0]: `regret` compares two models on newly labelled rows of "
        f"{needed} days at least, and the monitoring looks at windows of {length}: it could never ask. Let "
        "it look at longer ones, such as `monitor: {schedule: '@weekly'}`, or take the rule out."
    ] * (length is not None)


def test_datasets_that_do_not_exist_are_told_for_rows_labels_and_inputs(repo: Path) -> None:
    edit(repo, "models/returns.yaml", "dataset: orders", "dataset: order")
    edit(repo, "models/returns.yaml", "delay: 14d", "delay: 14d, dataset: outcomes")
    write(repo, "transforms/daily.sql", "SELECT 1")
    write(
        repo,
        "datasets/daily.yaml",
        """\
        name: daily
        source: {type: datasets, inputs: [orders, visits]}
        key: [day]
        event_time: day
        transform: daily
        """,
    )
    assert problems(repo) == [
        "datasets/daily.yaml: source.inputs[1]: no dataset is named 'visits'. There are: daily, orders.",
        "models/returns.yaml: entities.dataset: no dataset is named 'order'. Did you mean 'orders'? "
        "There are: daily, orders.",
        "models/returns.yaml: label.dataset: no dataset is named 'outcomes'. There are: daily, orders.",
    ]


def test_a_broken_dataset_is_told_once_and_not_again_by_those_who_use_it(repo: Path) -> None:
    edit(repo, "datasets/orders.yaml", "event_time: ordered_at", "event_time: ordered")
    assert problems(repo) == [
        "datasets/orders.yaml: 'ordered' is in `key` or `event_time` but not in `columns`."
    ]


def test_datasets_that_wait_for_each_other_are_found(repo: Path) -> None:
    for name, source in (("a", "b"), ("b", "c"), ("c", "a")):
        write(repo, f"transforms/{name}.sql", "SELECT 1")
        spec = f"name: {name}\nsource: {{type: datasets, inputs: [{source}]}}\n"
        write(repo, f"datasets/{name}.yaml", f"{spec}key: [k]\nevent_time: t\ntransform: {name}\n")
    assert problems(repo)[0] == (
        "datasets/a.yaml: source.inputs: wait for each other in a circle: a <- b <- c <- a."
    )
    assert len(problems(repo)) == 3


def test_missing_transforms_and_suites_are_told_with_the_nearest(repo: Path) -> None:
    write(repo, "transforms/orders.sql", "SELECT * FROM source")
    edit(repo, "datasets/orders.yaml", "key:", "transform: order\nexpectations: orders\nkey:")
    assert problems(repo) == [
        "datasets/orders.yaml: transform: transforms/order.sql does not exist. Did you mean 'orders'?",
        "datasets/orders.yaml: expectations: expectations/orders.yaml does not exist. "
        "Write it, or correct the name.",
    ]


def test_columns_are_held_against_a_dataset_without_a_transform(repo: Path) -> None:
    edit(repo, "models/returns.yaml", "{dataset: orders}", "{dataset: orders, columns: [prize]}")
    edit(repo, "models/returns.yaml", "column: returned", "column: return")
    assert problems(repo) == [
        "models/returns.yaml: entities.columns[0]: the dataset 'orders' has no column 'prize'. "
        "Did you mean 'price'?",
        "models/returns.yaml: label.column: the dataset 'orders' has no column 'return'. "
        "Did you mean 'returned'?",
    ]


def test_a_label_that_is_asked_for_as_a_column_is_refused(repo: Path) -> None:
    edit(repo, "models/returns.yaml", "{dataset: orders}", "{dataset: orders, columns: [returned]}")
    assert problems(repo) == [
        "models/returns.yaml: the label 'returned' is among `entities.columns`: "
        "it is not known at prediction time. Take it out."
    ]


def test_labels_are_joined_by_the_same_key(repo: Path) -> None:
    write(
        repo,
        "datasets/parcels.yaml",
        ORDERS.replace("orders", "parcels").replace("key: [order_id]", "key: [price]"),
    )
    edit(repo, "models/returns.yaml", "delay: 14d", "delay: 14d, dataset: parcels")
    assert problems(repo) == [
        "models/returns.yaml: label.dataset: 'parcels' has the key price, but 'orders' has order_id: "
        "labels are joined by key."
    ]


@pytest.mark.parametrize("cron", ["hourly", "0 25 * * *", "0 0 31 2 *", "* * * * * *", "@once"])
def test_a_cron_expression_that_never_comes_due_is_refused(repo: Path, cron: str) -> None:
    edit(repo, "datasets/orders.yaml", "key:", f"schedule: '{cron}'\nkey:")
    [problem] = problems(repo)
    assert problem.startswith(f"datasets/orders.yaml: schedule: '{cron}' is no cron expression")
    assert problem.endswith("or one of @hourly, @daily, @weekly, @monthly, @quarterly, @yearly.")


@pytest.mark.parametrize("cron", ["@daily", "@quarterly", "0 3 * * 1", "*/15 8-18 * * mon-fri"])
def test_cron_expressions_that_airflow_takes_are_taken(repo: Path, cron: str) -> None:
    edit(repo, "models/returns.yaml", "evaluate:", f"monitor: {{schedule: '{cron}'}}\nevaluate:")
    assert problems(repo) == []


def test_a_transform_that_is_no_text_costs_its_own_dataset_only(repo: Path) -> None:
    edit(repo, "datasets/orders.yaml", "key:", "transform: orders\nkey:")
    write(repo, "datasets/clicks.yaml", ORDERS.replace("name: orders", "name: clicks"))
    write(repo, "transforms/orders.sql", "").write_bytes(b"SELECT '\xe9' AS place FROM source")
    assert problems(repo) == [
        "datasets/orders.yaml: transform: transforms/orders.sql is not UTF-8 text (byte 8). Save it as UTF-8."
    ]
    project = load_project(repo)
    assert set(project.datasets) == {"clicks"}
    assert project.texts("clicks") == {}
    assert project.digest(dataset="clicks")
    with pytest.raises(SpecError, match=r"transforms/orders.sql is not UTF-8 text"):
        project.texts("orders")


def test_a_file_that_stops_being_text_while_a_run_begins_is_named(repo: Path) -> None:
    edit(repo, "datasets/orders.yaml", "key:", "transform: orders\nkey:")
    file = write(repo, "transforms/orders.sql", "FROM source")
    project = load_project(repo)
    file.write_bytes(b"\xff")
    with pytest.raises(
        SpecError, match=r"^transforms/orders.sql is not UTF-8 text \(byte 0\). Save it as UTF-8.$"
    ):
        project.digest(dataset="orders")
    file.unlink()
    with pytest.raises(
        SpecError, match=r"^transforms/orders.sql cannot be read: No such file or directory.$"
    ):
        project.texts("orders")


def test_a_digest_changes_with_the_spec_and_with_the_files_it_names(repo: Path) -> None:
    sql = write(repo, "transforms/orders.sql", "SELECT * FROM source")
    edit(repo, "datasets/orders.yaml", "key:", "transform: orders\nkey:")
    before = load_project(repo)
    assert before.texts("orders") == {"transforms/orders.sql": "SELECT * FROM source"}
    edit(repo, "models/returns.yaml", "name: returns", "# a comment\nname: returns")
    assert load_project(repo).digest(model="returns") == before.digest(model="returns")
    edit(repo, "models/returns.yaml", "holdout: 21d", "holdout: 20d")
    assert load_project(repo).digest(model="returns") != before.digest(model="returns")
    digest = before.digest(dataset="orders")
    assert len(digest) == 16
    sql.write_text("SELECT * FROM source WHERE price > 0")
    assert load_project(repo).digest(dataset="orders") != digest


def test_a_time_beyond_the_calendar_is_an_error_not_a_crash() -> None:
    with pytest.raises(ConfError, match=r"as_of is '9999-12-31T23:59:59-12:00', which is no ISO 8601 time"):
        parse_moment("9999-12-31T23:59:59-12:00", "as_of")
