"""Does a suite name columns that its rows will have?"""

from collections.abc import Collection, Iterator

from keepfit.backends.suite_file import parse_suite
from keepfit.backends.suite_scan.compile import columns_named
from keepfit.spec.problem import Problem, did_you_mean


def column_problems(text: str, file: str, columns: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for each column that an expectation names and the rows lack.

    Raises:
        SpecError: The text is no suite.
    """
    for entry in parse_suite(text, file)[1]:
        for name in columns_named(entry):
            if name not in columns:
                there = did_you_mean(name, columns) or f" There are: {', '.join(columns) or 'none'}."
                yield Problem(file, f"{entry.place}.kwargs", f"there is no column {name!r}.{there}")
