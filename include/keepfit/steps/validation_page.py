"""A validation report as a page of its own: no scripts, nothing loaded from elsewhere."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepfit.backends.validation_report import Failure, ValidationReport

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #222 }}
table {{ border-collapse: collapse; width: 100%; margin: 1rem 0 }}
th, td {{ text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }}
td.critical {{ color: #b00020; font-weight: 600 }}
td.warning {{ color: #8a5a00; font-weight: 600 }}
code {{ font-size: .92em }}
</style></head><body>
<h1>{title}</h1>
<p>{rows:,} rows, {checked} expectations of <code>{suite}</code>: <b>{verdict}</b>.</p>
{failures}{missing}
</body></html>
"""


def validation_page(report: "ValidationReport", dataset: str, when: str) -> str:
    """Return the page for a dataset's window."""
    return _PAGE.format(
        title=escape(f"{dataset}, {when}"),
        rows=report.rows,
        checked=report.checked,
        suite=escape(report.suite),
        verdict=_verdict(report),
        failures=_failures(report),
        missing=_missing(report),
    )


def _verdict(report: "ValidationReport") -> str:
    if not report.passed:
        return "a critical one failed, nothing was published"
    return (
        f"passed, with {len(report.failures) + report.left_out} marks" if report.failures else "all are met"
    )


def _failures(report: "ValidationReport") -> str:
    rows = "".join(map(_failure, report.failures))
    more = f"<p>{report.left_out} milder ones are not listed.</p>" if report.left_out else ""
    head = "<tr><th>Severity</th><th>Column</th><th>Expectation</th><th>Found</th></tr>"
    return f"<h2>Not met</h2><table>{head}{rows}</table>{more}" if rows else ""


def _failure(failure: "Failure") -> str:
    cells = (failure.column or "the table", failure.expectation, failure.message)
    listed = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><td class="{failure.severity}">{failure.severity}</td>{listed}</tr>'


def _missing(report: "ValidationReport") -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{share:.2%}</td></tr>"
        for name, share in report.missing_share.items()
    )
    return (
        f"<h2>Missing values</h2><table><tr><th>Column</th><th>Share</th></tr>{rows}</table>" if rows else ""
    )
