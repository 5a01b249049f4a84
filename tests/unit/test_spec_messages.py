from pathlib import Path
from typing import Any

import pytest
import yaml

from keepfit.errors import SpecError
from keepfit.spec import load_dataset, load_model

DATASET: dict[str, Any] = {
    "name": "orders",
    "source": {"type": "files", "path": "data/orders.csv"},
    "columns": {"order_id": "string", "ordered_at": "timestamp"},
    "key": ["order_id"],
    "event_time": "ordered_at",
}
MODEL: dict[str, Any] = {
    "name": "returns",
    "task": "classification",
    "entities": {"dataset": "orders"},
    "features": "orders",
    "label": {"column": "returned", "delay": "14d"},
    "train": {"holdout": "21d", "candidates": [{"trainer": "lightgbm"}]},
    "evaluate": {"objective": "log_loss"},
}


def refused(folder: Path, text: str, kind: str = "models/returns.yaml") -> list[str]:
    path = folder / kind
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(SpecError) as error:
        load_model(path) if kind.startswith("models") else load_dataset(path)
    return [line.removeprefix(f"{kind}: ") for line in str(error.value).splitlines()]


def model(folder: Path, **changes: Any) -> list[str]:
    return refused(folder, yaml.safe_dump(MODEL | changes))


def dataset(folder: Path, **changes: Any) -> list[str]:
    return refused(folder, yaml.safe_dump(DATASET | changes), "datasets/orders.yaml")


def space(**fields: Any) -> dict[str, Any]:
    return {"space": {"x": fields}}


def candidate(folder: Path, **fields: Any) -> list[str]:
    return model(folder, train={"holdout": "21d", "candidates": [{"trainer": "lightgbm", **fields}]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"description": 5}, "description: wrong type: needs a text, got 5. Put it in quotes."),
        ({"retries": "many"}, "retries: wrong type: needs a whole number, got 'many'."),
        ({"retries": 2.5}, "retries: wrong type: needs a whole number, got 2.5."),
        ({"retries": 99}, "retries: must be at most 10, got 99."),
        ({"retries": -1}, "retries: must be at least 0, got -1."),
        ({"entities": "orders"}, "entities: wrong type: needs fields of its own, got 'orders'."),
        (
            {"entities": {"dataset": "orders", "columns": "x"}},
            "entities.columns: wrong type: needs a list, such as [a, b], got 'x'.",
        ),
        (
            {"entities": {"dataset": "Orders"}},
            "entities.dataset: needs at most 64 lower-case letters, digits and _, beginning with a letter, "
            "got 'Orders'.",
        ),
        ({"objective": "x"}, "objective: unknown field. It belongs under `evaluate`."),
        ({"trainer": "x"}, "trainer: unknown field. It belongs under `train.candidates`."),
        ({"predict": {"treshold": 0.4}}, "predict.treshold: unknown field. Did you mean 'threshold'?"),
        (
            {"predict": {"limit": 1}},
            "predict.limit: unknown field. Known here: threshold, unfit_features, batch_rows.",
        ),
        ({"predict": {"threshold": 1.5}}, "predict.threshold: must be at most 1.0, got 1.5."),
        (
            {"evaluate": {"objective": "auc", "gate": {"min_effect": float("nan")}}},
            "evaluate.gate.min_effect: wrong type: needs a number that is neither .inf nor .nan, got nan.",
        ),
        (
            {"evaluate": {"objective": "auc", "gate": {"floors": {"f1": 0.5}}}},
            "evaluate: `gate.floors` has f1, which is not measured. Add it to `metrics`.",
        ),
        (
            {"evaluate": {"objective": "auc", "gate": {"not_worse_by": {"brier": 0.01, "auc": 0.01}}}},
            "evaluate: `gate.not_worse_by` has brier, which is not measured. Add it to `metrics`.",
        ),
        (
            {
                "evaluate": {
                    "objective": "auc",
                    "gate": {"slices": [{"column": "shop", "floors": {"f1": 0.5, "f2": 0.5}}]},
                }
            },
            "evaluate: `gate.slices[0].floors` has f1, f2, which is not measured. Add it to `metrics`.",
        ),
        (
            {"evaluate": {"objective": "auc", "gate": {"slices": [{"column": "shop"}]}}},
            "evaluate.gate.slices[0]: the slices of 'shop' ask for nothing. Add `floors` or `not_worse_by`.",
        ),
        (
            {
                "evaluate": {
                    "objective": "auc",
                    "gate": {"slices": [{"column": "sum", "edges": [2, 1], "floors": {"auc": 0.5}}]},
                }
            },
            "evaluate.gate.slices[0]: `edges` must rise, such as [500, 1000].",
        ),
        (
            {
                "evaluate": {
                    "objective": "auc",
                    "gate": {"slices": [{"column": "shop", "floors": {"auc": 0.5}}] * 2},
                }
            },
            "evaluate.gate: `slices` has shop more than once. Put it into one entry.",
        ),
        (
            {"evaluate": {"objective": "auc", "gate": {"not_worse_by": {"auc": -1}}}},
            "evaluate.gate.not_worse_by.auc: must be at least 0.0, got -1.",
        ),
        (
            {"label": {"column": "returned"}},
            "label.delay: is missing. How long after a row's event time its label is known. "
            "No run looks at a label earlier.",
        ),
        (
            {"label": {"column": "returned", "delay": 14}},
            "label.delay: 14 is no duration. Write a number and one of s, m, h, d, w, such as 14d or 36h.",
        ),
        (
            {"train": {"holdout": "0d", "candidates": [{"trainer": "lightgbm"}]}},
            "train.holdout: must be longer than nothing, such as 14d or 36h.",
        ),
        (
            {"train": {"holdout": "99999999999d", "candidates": [{"trainer": "lightgbm"}]}},
            "train.holdout: '99999999999d' is longer than a calendar.",
        ),
        (
            {"label": {"column": "returned", "delay": "999999999d"}},
            "label.delay: '999999999d' is longer than a calendar.",
        ),
        (
            {"train": {"holdout": "1d", "start": "yesterday", "candidates": [{"trainer": "lightgbm"}]}},
            "train.start: wrong type: needs a time, such as 2013-01-01T00:00:00Z, got 'yesterday'.",
        ),
        ({"train": {"holdout": "1d", "candidates": []}}, "train.candidates: must not be empty."),
        (
            {"train": MODEL["train"] | {"length": "90d", "season": {"period": "365d", "around": "45d"}}},
            "train: `length` and `season` both say which rows to train on. Keep one of the two.",
        ),
        (
            {"train": MODEL["train"] | {"season": {"period": "60d", "around": "30d"}}},
            "train.season: `around` is 30d: from half a `period` on, 60d, it leaves no row out. "
            "Choose a shorter one.",
        ),
        (
            {"train": MODEL["train"] | {"season": {"period": "365d", "around": "35d"}}},
            "`train.season.around` is 35d, but the holdout begins 35d back (`label.delay` and "
            "`train.holdout`): choose a longer `around`, or the holdout is last season's.",
        ),
        (
            {"train": MODEL["train"] | {"season": {"period": "365d"}}},
            "train.season.around: is missing. How far"
            " a row's event time may lie from the same moment of its own period, before and after.",
        ),
    ],
)
def test_what_pydantic_refuses_is_said_in_plain_words(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    assert model(tmp_path, **changes) == [message]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"params": {"x": [1]}},
            ".params.x: wrong type: needs a text or a whole number or a number or true or false, got [1].",
        ),
        (
            {"search": space(low=5, high=2)},
            ".search.space.x: `low` is 5 and `high` is 2: `low` must be the smaller.",
        ),
        (
            {"search": space(low=0.0, high=1.0, log=True)},
            ".search.space.x: `low` is 0.0: on a logarithmic scale it must be greater than 0.",
        ),
        ({"search": space(low=0.1, hihg=1)}, ".search.space.x.high: is missing."),
        ({"search": space(choices=[])}, ".search.space.x.choices: must not be empty."),
        ({"search": {"space": {"x": 5}}}, ".search.space.x: wrong type: needs fields of its own, got 5."),
        (
            {"params": {"x": 1}, "search": space(choices=[1])},
            ": x is in `params` and in `search.space`. Keep one of the two.",
        ),
        (
            {"estimator": "sklearn.svm.SVC"},
            ": `lightgbm` takes no `estimator`. Leave it out, or use the trainer `sklearn`.",
        ),
        (
            {"trainer": "sklearn"},
            ": `sklearn` needs an `estimator`, such as sklearn.linear_model.LogisticRegression.",
        ),
    ],
)
def test_a_candidate_is_refused_with_its_place_in_the_list(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    found = candidate(tmp_path, **fields)
    assert found[0] == f"train.candidates[0]{message}"
    assert "train.candidates: must not be empty." not in found


RULES = (
    "calendar, drift_share, performance, prediction_drift, weighted_drift, regret, upf, new_rows, own, "
    "m_of_n, all, any"
)
CALENDAR = {"rule": "calendar", "every": "7d"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            {"rule": "drift_shares"},
            f": `rule` needs one of {RULES}, got 'drift_shares'. Did you mean 'drift_share'?",
        ),
        ({"every": "7d"}, f": `rule` is missing: one of {RULES}."),
        ("calendar", ": wrong type: needs fields of its own, got 'calendar'."),
        ({**CALENDAR, "everyy": "7d"}, ".everyy: unknown field. Did you mean 'every'?"),
        ({"rule": "drift_share", "share": 1.5}, ".share: must be at most 1.0, got 1.5."),
        ({"rule": "drift_share", "share": 0}, ".share: must be greater than 0.0, got 0."),
        ({"rule": "performance", "worse_by": 0}, ".worse_by: must be greater than 0.0, got 0."),
        ({"rule": "regret", "cost": 0}, ".cost: must be greater than 0.0, got 0."),
        ({"rule": "upf", "cost": -3}, ".cost: must be greater than 0.0, got -3."),
        ({"rule": "upf", "cost": 1, "confidence": 0.2}, ".confidence: must be at least 0.5, got 0.2."),
        ({"rule": "upf", "cost": 1, "horizon": 2000}, ".horizon: must be at most 1000, got 2000."),
        ({"rule": "new_rows", "at_least": 0}, ".at_least: must be at least 1, got 0."),
        ({"rule": "own", "function": ""}, ".function: must not be empty."),
        ({"rule": "all", "of": []}, ".of: must not be empty."),
        ({"rule": "any", "of": []}, ".of: must not be empty."),
        ({"rule": "any", "of": [{"rule": "all", "of": []}]}, ".of[0].of: must not be empty."),
        (
            {"rule": "m_of_n", "m": 3, "n": 2, "of": CALENDAR},
            ": `m` is 3 and `n` is 2: `m` must be the smaller, or equal.",
        ),
        (
            {"rule": "m_of_n", "m": 1, "n": 2, "of": {"every": "7d"}},
            f".of: `rule` is missing: one of {RULES}.",
        ),
        (
            {"rule": "all", "of": [{"rule": "any", "of": [{"rule": "calender"}]}]},
            f".of[0].of[0]: `rule` needs one of {RULES}, got 'calender'. Did you mean 'calendar'?",
        ),
    ],
)
def test_a_rule_is_refused_with_its_place_in_the_policy(tmp_path: Path, rule: Any, message: str) -> None:
    assert model(tmp_path, policy={"rules": [CALENDAR, rule]}) == [f"policy.rules[1]{message}"]


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ({"cooldown": "7d"}, "monitor.cooldown: unknown field. It belongs under `policy`."),
        ({"drift": {"share": 0.5}}, "monitor.drift.share: unknown field. It belongs under `policy.rules`."),
        (
            {"performance": {"worse_by": 0.1}},
            "monitor.performance.worse_by: unknown field. It belongs under `policy.rules`.",
        ),
    ],
)
def test_what_to_do_about_a_window_is_not_part_of_what_is_measured(
    tmp_path: Path, monitor: dict[str, Any], message: str
) -> None:
    assert model(tmp_path, monitor=monitor) == [message]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"source": {"type": "file", "path": "x.csv"}},
            "source: `type` needs one of files, sql, datasets, plugin, got 'file'. Did you mean 'files'?",
        ),
        ({"source": {"path": "x.csv"}}, "source: `type` is missing: one of files, sql, datasets, plugin."),
        ({"source": {"type": "files", "path": ""}}, "source.path: must not be empty."),
        (
            {"source": {"type": "files", "pth": "x", "path": "y"}},
            "source.pth: unknown field. Did you mean 'path'?",
        ),
        (
            {"source": {"type": "sql", "connection": "pg"}},
            "source: give either `table` or `query`, and only one of them.",
        ),
        (
            {"columns": {"order id": "string", "ordered_at": "timestamp", "order_id": "string"}},
            "columns.order id: needs letters, digits and _, not beginning with a digit, got 'order id'. If "
            "the source calls it so, choose a name for it: `order_id: {type: ..., column: 'order id'}`.",
        ),
        (
            {"columns": {"order_id": "string", "ordered_at": "time"}},
            "columns.ordered_at: needs one of string, int64, float64, bool, timestamp, date, got 'time'. "
            "Did you mean 'timestamp'?",
        ),
        (
            {"columns": {"order_id": "string", "ordered_at": {"type": "time"}}},
            "columns.ordered_at.type: needs one of string, int64, float64, bool, timestamp, date, got "
            "'time'. Did you mean 'timestamp'?",
        ),
        (
            {"columns": {"order_id": "string", "ordered_at": {"column": "Order Date"}}},
            "columns.ordered_at.type: is missing. What its values are.",
        ),
        (
            {"columns": {"order_id": {"type": "string", "formats": "%d"}, "ordered_at": "timestamp"}},
            "columns.order_id.formats: unknown field. Did you mean 'format'?",
        ),
        (
            {"columns": {"order_id": {"type": "string", "format": "%Y"}, "ordered_at": "timestamp"}},
            "columns.order_id: `format` says how a timestamp or date is written, and this is string.",
        ),
        (
            {
                "columns": {
                    "order_id": "string",
                    "ordered_at": {"type": "timestamp", "format": "%d.%m. %Q %Y"},
                }
            },
            "columns.ordered_at: `format` has %Q, which stands for nothing. There are: %-d, %-H, %-I, %-m, "
            "%-M, %-S, %a, %A, %b, %B, %d, %f, %H, %I, %j, %m, %M, %p, %S, %y, %Y, %z, %Z, %%.",
        ),
        (
            {"columns": {"order_id": "string", "ordered_at": {"type": "timestamp", "format": "dd/mm/yyyy"}}},
            "columns.ordered_at: `format` is 'dd/mm/yyyy', which names no year (%Y, or %y for two digits).",
        ),
        (
            {"columns": {}},
            "`columns` is missing: name the columns to take from the source, with their types.",
        ),
        ({"key": ["id"]}, "'id' is in `key` or `event_time` but not in `columns`."),
        ({"window_column": "shipped_at"}, "the window column 'shipped_at' is not in `columns`."),
        ({"catchup": True}, "`catchup` runs every interval since `start`: give `start` and `schedule`."),
        (
            {"source": {"type": "datasets", "inputs": ["a"]}},
            "a dataset computed from others needs a `transform`.",
        ),
    ],
)
def test_a_dataset_is_refused_in_plain_words(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert dataset(tmp_path, **changes) == [message]


def test_a_url_with_a_password_is_refused_without_repeating_it(tmp_path: Path) -> None:
    url = "postgresql://me:secret@host/db"
    [message] = dataset(tmp_path, source={"type": "sql", "connection": url, "table": "orders"})
    assert message.startswith("source: a URL may hold a password")
    assert "secret" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty."),
        ("{}", "is empty."),
        ("# only a comment", "is empty."),
        ("- a\n- b", "holds no fields. Write lines like `name: value`."),
        ("name: [a", "is not YAML: did not find expected ',' or ']'."),
        ("name: !!python/object:os.system x", "is not YAML: could not determine a constructor for the tag"),
        ("? [a]\n: b", "is not YAML: found unhashable key."),
        ("start: 2024-13-01", "is not YAML: month must be in 1..12."),
        ("a: &a {b: *a}", "a: unknown field."),
    ],
)
def test_what_is_no_yaml_is_said_once(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, text)[-1].startswith(message)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models" / "returns.yaml"
    path.parent.mkdir()
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(SpecError, match=r"returns.yaml: is not UTF-8 text \(byte 6\). Save it as UTF-8."):
        load_model(path)


def test_aliases_that_multiply_are_neither_followed_nor_printed_whole(tmp_path: Path) -> None:
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    messages = refused(tmp_path, "\n".join([*bomb, "task: *a11"]))
    assert max(map(len, messages)) < 400


def test_a_small_number_may_be_written_as_everyone_does(tmp_path: Path) -> None:
    path = tmp_path / "models" / "returns.yaml"
    path.parent.mkdir()
    rate = yaml.safe_dump(MODEL).replace("trainer: lightgbm", "trainer: lightgbm\n    params: {rate: 1e-3}")
    path.write_text(rate)
    assert load_model(path).train.candidates[0].params == {"rate": 0.001}
