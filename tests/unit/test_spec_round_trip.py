from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.errors import ConfError
from keepfit.spec import DatasetSpec, ModelSpec, Window, load_dataset, load_model
from keepfit.spec.fields import duration_text, parse_duration
from keepfit.spec.yaml_file import read_yaml, yaml_text

names = st.from_regex(r"\A[a-z][a-z0-9]{0,11}\Z")
columns = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,11}\Z")
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30)
durations = st.integers(0, 10**8).map(lambda seconds: timedelta(seconds=seconds))
positive = st.integers(1, 10**8).map(lambda seconds: timedelta(seconds=seconds))
moments = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
finite = st.floats(-1e9, 1e9, allow_nan=False)
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | finite | texts
ranges = (
    st.fixed_dictionaries({"low": st.integers(1, 9), "high": st.integers(10, 99), "log": st.booleans()})
    | st.fixed_dictionaries({"kind": st.just("float"), "low": st.floats(0.1, 1), "high": st.integers(2, 9)})
    | st.fixed_dictionaries({"choices": st.lists(scalars, min_size=1, max_size=3)})
)

above = st.floats(1e-9, 1e9)
counts = st.integers(1, 1000)
rules = st.recursive(
    st.fixed_dictionaries({"rule": st.just("calendar"), "every": positive})
    | st.fixed_dictionaries({"rule": st.just("upf"), "cost": above, "horizon": counts})
    | st.fixed_dictionaries({"rule": st.just("own"), "function": st.just("mine:judge")}),
    lambda inner: (
        st.fixed_dictionaries({"rule": st.just("m_of_n"), "m": st.just(2), "n": st.just(3), "of": inner})
        | st.fixed_dictionaries(
            {"rule": st.sampled_from(["all", "any"]), "of": st.lists(inner, min_size=1, max_size=3)}
        )
    ),
    max_leaves=4,
)


@st.composite
def models(draw: st.DrawFn) -> ModelSpec:
    space = draw(st.dictionaries(columns, ranges, max_size=3))
    params = {
        name: value for name, value in draw(st.dictionaries(columns, scalars)).items() if name not in space
    }
    return ModelSpec.model_validate(
        {
            "name": draw(names),
            "description": draw(texts),
            "task": draw(st.sampled_from(["classification", "regression"])),
            "entities": {"dataset": draw(names), "where": draw(st.none() | texts)},
            "features": draw(texts),
            "label": {"column": draw(columns), "delay": draw(durations)},
            "train": {
                "start": draw(st.none() | moments),
                "length": draw(st.none() | positive),
                "holdout": draw(positive),
                "candidates": [
                    {"trainer": "lightgbm", "params": params, "search": {"space": space} if space else None}
                ],
                "calendar": draw(st.sampled_from([None, "@daily", "0 3 * * 1"])),
            },
            "evaluate": {"objective": "log_loss", "gate": {"floors": {"log_loss": draw(finite)}}},
            "monitor": {
                "drift": draw(st.none() | st.just({"threshold": 0.3})),
                "schedule": draw(st.sampled_from([None, "@daily"])),
            },
            "policy": {
                "rules": draw(st.lists(rules, max_size=3)),
                "cooldown": draw(durations),
                "budget": draw(st.none() | st.integers(1, 9)),
                "because": draw(texts),
            },
        }
    )


@st.composite
def datasets(draw: st.DrawFn) -> DatasetSpec:
    kinds = st.sampled_from(["string", "int64", "float64", "bool", "timestamp", "date"])
    declared: dict[str, Any] = draw(st.dictionaries(columns, kinds, min_size=2, max_size=6))
    key, event_time, *_ = declared
    options = st.dictionaries(texts, texts | st.integers(-9, 9) | st.booleans() | finite, max_size=3)
    return DatasetSpec.model_validate(
        {
            "name": draw(names),
            "source": draw(
                st.just({"type": "files", "path": "x.csv"})
                | st.fixed_dictionaries({"type": st.just("sql"), "connection": names, "query": texts})
                | st.fixed_dictionaries({"type": st.just("plugin"), "name": texts, "options": options})
            ),
            "columns": declared,
            "key": [key],
            "event_time": event_time,
            "start": draw(st.none() | moments),
            "timeout": draw(positive),
        }
    )


@given(models())
def test_a_model_written_and_read_is_the_same(spec: ModelSpec) -> None:
    assert ModelSpec.model_validate(spec.model_dump(mode="json")) == spec
    with TemporaryDirectory() as folder:
        assert load_model(written(folder, "models", spec.model_dump(mode="json"))) == spec


@given(datasets())
def test_a_dataset_written_and_read_is_the_same(spec: DatasetSpec) -> None:
    assert DatasetSpec.model_validate(spec.model_dump(mode="json")) == spec
    with TemporaryDirectory() as folder:
        assert load_dataset(written(folder, "datasets", spec.model_dump(mode="json"))) == spec


def written(folder: str, kind: str, content: dict[str, Any]) -> Path:
    path = Path(folder) / kind / f"{content['name']}.yaml"
    path.parent.mkdir()
    path.write_text(yaml_text(content, width=80), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["0E0", "1e-3", "1.5e3", "no", "null", "2013-01-01", "~"])
def test_a_text_that_looks_like_something_else_stays_a_text(name: str, tmp_path: Path) -> None:
    path = tmp_path / "names.yaml"
    path.write_text(yaml_text({"name": name, "value": 1e-7}, width=80), encoding="utf-8")
    assert read_yaml(path, path.name).content == {"name": name, "value": 1e-7}


@given(durations)
def test_a_duration_written_and_read_is_the_same(duration: timedelta) -> None:
    assert parse_duration(duration_text(duration)) == duration


@given(moments, moments)
def test_a_window_is_read_back_from_its_key_or_refused_reversed(start: datetime, end: datetime) -> None:
    if start < end:
        assert Window.of_key(Window(start, end).key) == Window(start, end)
        assert Window.parse(start.isoformat(), end.isoformat()) == Window(start, end)
    else:
        with pytest.raises(ConfError, match="its end must be later than its start"):
            Window(start, end)


def test_a_window_reaches_back_to_the_year_1_and_no_further() -> None:
    window = Window.parse("0001-01-02", "0001-01-03")
    assert window.key == "00010102T000000Z_00010103T000000Z"
    assert window.reaching_back(timedelta(hours=6)) == Window.parse("0001-01-01T18:00:00Z", "0001-01-03")
    assert window.reaching_back(timedelta(days=9)) == Window.parse("0001-01-01", "0001-01-03")


@pytest.mark.parametrize(
    ("start", "end", "days"), [("0001-01-02", "0001-01-03", -2), ("9999-12-30", "9999-12-31", 1.5)]
)
def test_a_window_moved_out_of_the_calendar_is_refused(start: str, end: str, days: float) -> None:
    window = Window.parse(start, end)
    with pytest.raises(ConfError) as refused:
        window.shifted(timedelta(days=days))
    assert str(refused.value) == (
        f"The window {window.key}, moved by {days:+g} days, lies outside the years 1 to 9999. "
        "Choose another time, or a shorter duration."
    )


def test_a_window_too_fine_for_its_key_is_refused() -> None:
    with pytest.raises(ConfError, match=r"has parts of a second. Give whole seconds."):
        Window.parse("2024-01-01T00:00:00.5", "2024-01-02")
