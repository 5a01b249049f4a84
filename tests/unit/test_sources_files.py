"""Files as a source: only the declared columns, in their types, of the window's rows."""

import gzip
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.backends.engine import columns_of, engine, scan
from keepfit.backends.sources.conform import conforming
from keepfit.backends.sources.files import extract_files
from keepfit.errors import SchemaError, SourceError
from keepfit.plugins import Access, SourceRequest
from keepfit.spec import DatasetSpec, Window
from keepfit.spec.project import EngineSpec

JANUARY = Window.parse("2013-01-01", "2013-02-01")
NOWHERE = Access(url=lambda name: name, storage=lambda _: {})
SPEC: dict[str, Any] = {
    "name": "trips",
    "source": {"type": "files", "path": "data/*.csv"},
    "columns": {"key": "string", "at": "timestamp", "size": "int64"},
    "key": ("key",),
    "event_time": "at",
}


def dataset(**changes: Any) -> DatasetSpec:
    return DatasetSpec.model_validate(SPEC | changes)


def from_path(path: str, **more: str) -> dict[str, str]:
    return {"type": "files", "path": path, **more}


def one(value: str, kind: str | dict[str, str | None], **changes: Any) -> DatasetSpec:
    """A snapshot of one value beside the key."""
    columns = {"key": "string", "at": "timestamp", value: kind}
    return dataset(columns=columns, snapshot=True, **changes)


def request(root: Path, spec: DatasetSpec, window: Window = JANUARY) -> SourceRequest:
    small = EngineSpec(memory_limit="128MB", threads=1)
    return SourceRequest(spec, window, root / "out.parquet", root, NOWHERE, root / "scratch", small)


def extracted(root: Path, spec: DatasetSpec) -> list[dict[str, Any]]:
    extract_files(request(root, spec))
    rows: list[dict[str, Any]] = pq.read_table(root / "out.parquet").to_pylist()
    return rows


def csv(root: Path, text: str, name: str = "a.csv") -> Path:
    (root / "data").mkdir(exist_ok=True)
    path = root / "data" / name
    path.write_text(text)
    return path


def parquet(root: Path, columns: Mapping[str, Any], name: str = "a.parquet") -> Path:
    (root / "data").mkdir(exist_ok=True)
    path = root / "data" / name
    pq.write_table(pa.table(dict(columns)), path)
    return path


def at(*text: str) -> list[datetime]:
    return [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in text]


def test_only_the_declared_columns_of_the_windows_rows_come(tmp_path: Path) -> None:
    csv(
        tmp_path,
        "more,key,at,size\n"
        "x,before,2012-12-31T23:59:59Z,1\n"
        "x,first,2013-01-01T00:00:00Z,2\n"
        "x,last,2013-01-31 23:59:59.999999,3\n"
        "x,after,2013-02-01,4\n",
    )
    rows = extracted(tmp_path, dataset())
    first, last = at("2013-01-01", "2013-01-31T23:59:59.999999")
    assert rows == [{"key": "first", "at": first, "size": 2}, {"key": "last", "at": last, "size": 3}]


def test_the_rows_have_exactly_the_declared_types(tmp_path: Path) -> None:
    columns = {"key": "string", "i": "int64", "f": "float64", "b": "bool", "t": "timestamp", "d": "date"}
    csv(tmp_path, "key,i,f,b,t,d\na,5.0,1e3,true,2013-01-01T10:00:00+02:00,2013-01-02\nNA,NA,,,,\n")
    spec = dataset(columns=columns, event_time="t", window_column="t")
    assert extracted(tmp_path, spec) == [
        {"key": "a", "i": 5, "f": 1000.0, "b": True, "t": at("2013-01-01T08:00")[0], "d": date(2013, 1, 2)},
        dict.fromkeys(columns),
    ]
    schema = pq.read_schema(tmp_path / "out.parquet")
    moment = pa.timestamp("us", "UTC")
    assert schema.types == [pa.string(), pa.int64(), pa.float64(), pa.bool_(), moment, pa.date32()]


def test_a_row_without_a_time_comes_so_that_it_can_be_counted(tmp_path: Path) -> None:
    csv(tmp_path, "key,at,size\nlost,NA,1\nkept,2013-01-02,2\n")
    assert [row["key"] for row in extracted(tmp_path, dataset())] == ["lost", "kept"]


def test_a_time_column_without_a_zone_is_utc(tmp_path: Path) -> None:
    naive = pa.array([datetime(2013, 1, 1), datetime(2013, 2, 1)], pa.timestamp("ns"))  # noqa: DTZ001 - meant
    parquet(tmp_path, {"key": ["a", "b"], "at": naive, "size": [1, 2]})
    rows = extracted(tmp_path, dataset(source=from_path("data/*.parquet")))
    assert rows == [{"key": "a", "at": at("2013-01-01")[0], "size": 1}]


def test_a_snapshot_comes_whole(tmp_path: Path) -> None:
    csv(tmp_path, "key,at,size\na,2001-01-01,1\nb,2013-01-02,2\n")
    assert len(extracted(tmp_path, dataset(snapshot=True))) == 2


def test_an_empty_window_is_a_file_without_rows(tmp_path: Path) -> None:
    csv(tmp_path, "key,at,size\na,2001-01-01,1\n")
    assert extracted(tmp_path, dataset()) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int64", "5.7"),
        ("int64", "many"),
        ("float64", "1,5"),
        ("bool", "2"),
        ("timestamp", "1/2/2013"),
        ("date", "2013-01-01T10:00:00"),
    ],
)
def test_a_value_that_does_not_cast_is_shown(tmp_path: Path, kind: str, value: str) -> None:
    file = csv(tmp_path, f'key,at,v\na,2013-01-01,\nb,2013-01-01,"{value}"\n')
    with pytest.raises(SchemaError) as refused:
        extracted(tmp_path, one("v", kind))
    assert str(refused.value) == (
        f"Dataset trips: column 'v' is declared {kind}, but the source holds '{value}' "
        f"(row 2 of {file}). Declare another type in datasets/trips.yaml (string takes any value; a time "
        "that is not written as 2024-01-31T10:00:00Z needs its `format`), or correct the source."
    )


@pytest.mark.parametrize("form", [None, "%d/%m/%Y", "%d/%m/%y"])
@pytest.mark.parametrize("kind", ["timestamp", "date"])
@pytest.mark.parametrize("word", ["infinity", "-infinity", "Infinity ", "inf", "epoch", "\tEpoch"])
def test_a_word_is_no_time(tmp_path: Path, form: str | None, kind: str, word: str) -> None:
    file = csv(tmp_path, f"key,at,v\na,2013-01-01,\nb,2013-01-01,{word}\n")
    with pytest.raises(SchemaError) as refused:
        extracted(tmp_path, one("v", {"type": kind, "format": form}))
    written = f", written {form!r}" if form else ""
    said = f"column 'v' is declared {kind}{written}, but the source holds '{word}' (row 2 of {file})"
    assert f"Dataset trips: {said}. " in str(refused.value)


@pytest.mark.parametrize("time", ["06/01/13", "infinity", "01/01/0999"])
def test_a_row_whose_time_is_misread_is_refused_and_does_not_vanish_from_its_window(
    tmp_path: Path, time: str
) -> None:
    file = csv(tmp_path, f"key,at,size\na,05/01/2013,1\nb,{time},2\n")
    written = SPEC["columns"] | {"at": {"type": "timestamp", "format": "%d/%m/%Y"}}
    with pytest.raises(SchemaError) as refused:
        extracted(tmp_path, dataset(columns=written))
    assert f"written '%d/%m/%Y', but the source holds '{time}' (row 2 of {file})" in str(refused.value)


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_moment_beyond_all_time_is_refused(tmp_path: Path, zone: str | None) -> None:
    moments = pa.array([0, 2**63 - 1], pa.timestamp("us", zone))
    parquet(tmp_path, {"key": ["a", "b"], "at": at("2013-01-01", "2013-01-01"), "v": moments})
    with pytest.raises(SchemaError, match="'v' is declared timestamp, but the source holds 'infinity'"):
        extracted(tmp_path, one("v", "timestamp", source=from_path("data/*.parquet")))


def test_a_window_column_that_is_no_time_is_an_error_and_not_an_empty_window(tmp_path: Path) -> None:
    csv(tmp_path, "key,at,size\na,yesterday,1\n")
    with pytest.raises(
        SchemaError, match="column 'at' is declared timestamp, but the source holds 'yesterday'"
    ):
        extracted(tmp_path, dataset())


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int64", pa.array([1.0, 5.7])),
        ("int64", pa.array([1.0, float("nan")])),
        ("bool", pa.array([0, 2])),
        ("date", pa.array(at("2013-01-01", "2013-01-01T12:00"), pa.timestamp("us", "UTC"))),
        ("timestamp", pa.array([1, 2])),
    ],
)
def test_a_number_or_time_that_would_lose_something_is_refused(
    tmp_path: Path, kind: str, values: pa.Array
) -> None:
    parquet(tmp_path, {"key": ["a", "b"], "at": at("2013-01-01", "2013-01-01"), "v": values})
    with pytest.raises(SchemaError, match=f"column 'v' is declared {kind}, but the source holds "):
        extracted(tmp_path, one("v", kind, source=from_path("data/*.parquet")))


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("int64", pa.array([1.0, None]), [1, None]),
        ("int64", pa.array([1, 2], pa.uint8()), [1, 2]),
        ("float64", pa.array([1, 2], pa.int32()), [1.0, 2.0]),
        ("bool", pa.array([0, 1]), [False, True]),
        ("string", pa.array([1, None]), ["1", None]),
        ("string", pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        ("timestamp", pa.array([date(2013, 1, 1), None]), [*at("2013-01-01"), None]),
        (
            "date",
            pa.array(at("2013-01-01", "2013-01-02"), pa.timestamp("ns")),
            [date(2013, 1, 1), date(2013, 1, 2)],
        ),
    ],
)
def test_other_widths_of_the_same_values_are_taken(
    tmp_path: Path, kind: str, values: pa.Array, expected: Any
) -> None:
    parquet(tmp_path, {"key": ["a", "b"], "at": at("2013-01-01", "2013-01-01"), "v": values})
    rows = extracted(tmp_path, one("v", kind, source=from_path("data/*.parquet")))
    assert [row["v"] for row in rows] == expected


def test_a_missing_column_is_named_with_what_there_is(tmp_path: Path) -> None:
    file = csv(tmp_path, "key,at,sise\na,2013-01-01,1\n")
    with pytest.raises(SourceError) as refused:
        extracted(tmp_path, dataset())
    assert str(refused.value) == (
        f"Dataset trips: {file} lacks the column 'size'. Did you mean 'sise'? It has: key, at, sise. "
        "Correct `columns` in datasets/trips.yaml, or the source."
    )


def test_one_file_of_many_that_lacks_a_column_is_found(tmp_path: Path) -> None:
    csv(tmp_path, "key,at,size\na,2013-01-01,1\n", "a.csv")
    bad = csv(tmp_path, "key,at\nb,2013-01-01\n", "b.csv")
    with pytest.raises(SourceError, match=f"{bad} lacks the column 'size'"):
        extracted(tmp_path, dataset())


def test_files_with_columns_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    csv(tmp_path, "key,at,size\na,2013-01-01,1\n", "a.csv")
    csv(tmp_path, "size,more,at,key\n2,x,2013-01-02,b\n", "b.csv")
    assert [(row["key"], row["size"]) for row in extracted(tmp_path, dataset())] == [("a", 1), ("b", 2)]


def test_no_matching_file_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        extracted(tmp_path, dataset())
    assert str(refused.value) == (
        f"Dataset trips: no file matches {tmp_path}/data/*.csv. Put the files there, or correct "
        "`source.path` in datasets/trips.yaml (it begins at the project's root)."
    )


def test_a_file_that_is_not_what_it_says_is_named_by_the_engine(tmp_path: Path) -> None:
    csv(tmp_path, "no parquet", "a.parquet")
    with pytest.raises(
        SourceError, match=r"Dataset trips: its source cannot be read: Invalid Input Error: .*a\.parquet"
    ):
        extracted(tmp_path, dataset(source=from_path("data/a.parquet")))


def test_an_ending_that_says_nothing_needs_a_format(tmp_path: Path) -> None:
    csv(tmp_path, "key,at,size\na,2013-01-01,1\n", "a.dat")
    with pytest.raises(SourceError, match=r"a\.dat ends in neither \.parquet nor \.csv. Say which"):
        extracted(tmp_path, dataset(source=from_path("data/a.dat")))
    assert len(extracted(tmp_path, dataset(source=from_path("data/a.dat", format="csv")))) == 1


def test_packed_files_are_read(tmp_path: Path) -> None:
    text = "key,at,size\na,2013-01-01,1\n"
    (tmp_path / "data").mkdir()
    with zipfile.ZipFile(tmp_path / "data" / "a.csv.zip", "w") as archive:
        archive.writestr("folder/a.csv", text)
        archive.writestr("README", "no data")
    (tmp_path / "data" / "b.csv.gz").write_bytes(gzip.compress(text.encode()))
    for path in ("data/*.zip", "data/*.gz"):
        assert len(extracted(tmp_path, dataset(source=from_path(path)))) == 1


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    csv(tmp_path, "no archive", "a.csv.zip")
    with pytest.raises(SourceError, match=r"a\.csv\.zip is no zip archive, or not a whole one"):
        extracted(tmp_path, dataset(source=from_path("data/*.zip")))


def test_a_row_with_too_many_fields_is_told(tmp_path: Path) -> None:
    rows = "".join(f"k{each},2013-01-01,1\n" for each in range(5000))
    csv(tmp_path, f"key,at,size\n{rows}a,2013-01-01,1,oops\n")
    with pytest.raises(
        SourceError, match=r"its source cannot be read: Invalid Input Error: CSV Error on Line: 5002"
    ):
        extracted(tmp_path, dataset())


@pytest.mark.parametrize("plain_rows", [2, 3000])
@pytest.mark.parametrize(
    ("field", "read"),
    [('"abc"', "abc"), ('"a,b"', "a,b"), ('"a""b"', 'a"b'), ('"a\nb"', "a\nb"), ("'q'", "'q'")],
)
def test_a_field_is_quoted_by_double_quotes_alone_however_late_the_first_comes(
    tmp_path: Path, plain_rows: int, field: str, read: str
) -> None:
    plain = "".join(f"k{each},2013-01-01,1\n" for each in range(plain_rows))
    csv(tmp_path, f"key,at,size\n{plain}{field},2013-01-02,1\n")
    assert extracted(tmp_path, dataset())[-1]["key"] == read


def test_the_window_goes_down_into_the_scan(tmp_path: Path) -> None:
    moments = pa.array(at("2012-12-31", "2013-01-01", "2013-02-01"), pa.timestamp("us", "UTC"))
    file = parquet(tmp_path, {"key": ["a", "b", "c"], "at": moments, "size": [1, 2, 3]})
    ask = request(tmp_path, dataset(source=from_path("data/*.parquet")))
    with engine(ask.engine, tmp_path) as connection:
        relation = scan([file])
        select = conforming(relation, columns_of(connection, relation), ask.dataset, ask.window)
        plan = connection.execute(f"EXPLAIN {select}").fetchall()[0][1]
    assert "READ_PARQUET" in plan.split("Filters:")[0]
    assert "at>='2013-01-01" in plan.split("Filters:")[1]


def test_a_source_of_another_kind_is_not_for_files(tmp_path: Path) -> None:
    other = replace(
        request(tmp_path, dataset()), dataset=dataset(source={"type": "sql", "connection": "x", "table": "t"})
    )
    with pytest.raises(SourceError, match="Dataset trips has no files, but a source of type 'sql'"):
        extract_files(other)


ORDERS = dataset(
    columns={
        "key": {"type": "string", "column": "Order No."},
        "at": {"type": "timestamp", "column": "Order Date", "format": "%d/%m/%Y %H:%M"},
        "due": {"type": "date", "column": "Ship by", "format": "%d %b %y"},
        "size": {"type": "int64", "column": "Größe (cm)"},
    }
)


def test_names_and_times_as_a_spreadsheet_writes_them(tmp_path: Path) -> None:
    csv(
        tmp_path,
        "Order No.;Order Date;Ship by;Größe (cm)\n"
        "A 1;31/12/2012 23:59;02 Jan 13;1\n"
        "A 2;01/01/2013 00:00;03 Jan 13;2\n"
        "A 3;2/1/2013 9:05;;NA\n"
        "A 4;;04 Jan 13;4\n"
        "A 5;01/02/2013 00:00;05 Jan 13;5\n",
    )
    first, second = at("2013-01-01", "2013-01-02T09:05")
    assert extracted(tmp_path, ORDERS) == [
        {"key": "A 2", "at": first, "due": date(2013, 1, 3), "size": 2},
        {"key": "A 3", "at": second, "due": None, "size": None},
        {"key": "A 4", "at": None, "due": date(2013, 1, 4), "size": 4},
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            "B;13/31/2013 10:00;;",
            "column 'at' (the source's 'Order Date') is declared timestamp, written '%d/%m/%Y %H:%M', but "
            "the source holds '13/31/2013 10:00' (row 2,001 of ",
        ),
        (
            "B;01/01/2013 10:00;2013-01-02;",
            "column 'due' (the source's 'Ship by') is declared date, written '%d %b %y', but the source "
            "holds '2013-01-02' (row 2,001 of ",
        ),
        (
            "B;01/01/2013 10:00;;tall",
            "column 'size' (the source's 'Größe (cm)') is declared int64, but the source holds 'tall' "
            "(row 2,001 of ",
        ),
    ],
)
def test_a_value_that_is_not_in_the_format_is_named_with_its_row(tmp_path: Path, row: str, said: str) -> None:
    head, sound = "Order No.;Order Date;Ship by;Größe (cm)\n", "A;01/01/2013 10:00;02 Jan 13;1\n"
    # What lies outside the window is not read, however it is written.
    csv(tmp_path, head + sound * 5, "a.csv")
    file = csv(tmp_path, f"{head}A;01/02/2013 10:00;;small\n{sound * 1999}{row}\n{sound}", "b.csv")
    with pytest.raises(SchemaError) as refused:
        extracted(tmp_path, ORDERS)
    assert str(refused.value).startswith(f"Dataset trips: {said}{file}). ")


def test_a_column_that_the_source_calls_otherwise_is_missed_by_that_name(tmp_path: Path) -> None:
    csv(tmp_path, "Order No.,Order date,Ship by,Größe (cm)\n")
    with pytest.raises(SourceError, match=r"lacks the column 'Order Date'\. Did you mean 'Order date'"):
        extracted(tmp_path, ORDERS)


def test_a_format_says_the_zone_and_reads_numbers_and_a_time_that_is_one_already_needs_none(
    tmp_path: Path,
) -> None:
    csv(tmp_path, "key,at,size\na,20130101 10:00 +0200,1\n")
    zoned = {"type": "timestamp", "format": "%Y%m%d %H:%M %z"}
    (row,) = extracted(tmp_path, dataset(columns=SPEC["columns"] | {"at": zoned}))
    assert row["at"] == at("2013-01-01T08:00")[0]
    days = pa.array(at("2013-01-01"), pa.timestamp("us", "UTC"))
    parquet(tmp_path, {"key": ["a"], "at": days, "day": [20130105], "size": [1]})
    columns = SPEC["columns"] | {"day": {"type": "date", "format": "%Y%m%d"}}
    source = from_path("data/*.parquet")
    (row,) = extracted(tmp_path, dataset(columns=columns, source=source))
    assert row["day"] == date(2013, 1, 5)
    with pytest.raises(SchemaError, match="column 'at' has a `format`, but its source holds no text"):
        extracted(tmp_path, dataset(columns=SPEC["columns"] | {"at": zoned}, source=source))
