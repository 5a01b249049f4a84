"""Where a source holds a value that is not of its declared type: looked for only when one was found."""

from collections.abc import Mapping

from keepfit.backends.engine import Connection, columns_of, literal
from keepfit.backends.sources.casts import complaint, perhaps_inside, shown, source_value, unsound
from keepfit.errors import SchemaError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.window import Window

_ROW = '"keepfit row"'


def kinds_of(dataset: DatasetSpec, found: Mapping[str, str]) -> dict[str, str]:
    """Return the engine's types of the columns that a dataset takes.

    Raises:
        SchemaError: A `format` is given for what is no text.
    """
    kinds = {name: found[column] for name, column in dataset.source_columns.items()}
    for name, taken in dataset.taken.items():
        if taken.format and kinds[name].startswith(("TIMESTAMP", "DATE")):
            raise SchemaError(
                f"Dataset {dataset.name}: column {name!r} has a `format`, but its source holds no text: it "
                f"is of type {kinds[name]} already. Take `format` out of datasets/{dataset.name}.yaml."
            )
    return kinds


def first_wrong(
    connection: Connection, files: Mapping[str, str], dataset: DatasetSpec, window: Window
) -> str | None:
    """Say which value of which row does not cast, in the first file that has one.

    Args:
        connection: The engine.
        files: The relation that reads each file, by its name.
        dataset: What is declared.
        window: Which rows were asked for.
    """
    taken, time = dataset.taken, dataset.source_time
    for file, relation in files.items():
        kinds = kinds_of(dataset, columns_of(connection, relation))
        among = "true" if dataset.snapshot else perhaps_inside(time, taken[time], kinds[time], window)
        wrong = {name: rule for name, each in taken.items() if (rule := unsound(name, each, kinds[name]))}
        found = connection.execute(_search(relation, dataset, wrong, among)).fetchone() if wrong else None
        if found:
            number, (name, value) = found
            return f"{complaint(name, taken[name])} {value} (row {number:,} of {file})"
    return None


def _search(relation: str, dataset: DatasetSpec, wrong: Mapping[str, str], among: str) -> str:
    """Write the query for a row's number, and the name and value of its first column that is wrong."""
    told = " ".join(
        f"WHEN {rule} THEN [{literal(name)}, {shown(source_value(name, dataset.taken[name]))}]"
        for name, rule in wrong.items()
    )
    numbered = f"SELECT *, row_number() OVER () AS {_ROW} FROM {relation}"
    return (
        f"SELECT {_ROW}, CASE {told} END FROM ({numbered}) "
        f"WHERE {among} AND ({' OR '.join(wrong.values())}) LIMIT 1"
    )
