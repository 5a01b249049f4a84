"""`keepfit incidents`: what several models wait for, and the answer that ends it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from keepfit.cli.jobs import decided, do_all
from keepfit.cli.person import person
from keepfit.cli.project import Root, open_project, open_stores
from keepfit.cli.table import moment, table
from keepfit.spec import Project

if TYPE_CHECKING:
    from keepfit.ledger import Ledger
    from keepfit.pipeline.incident import Case

_SHOWN = 3

Key = Annotated[str | None, typer.Argument(help="An incident, as listed. All are listed if none is given.")]
Answer = Annotated[
    str | None, typer.Option(help="fault: the data was wrong. real: the world has changed. Needs --why.")
]
Why = Annotated[str | None, typer.Option(help="The reason of the answer; kept in the ledger.")]
Start = Annotated[
    bool, typer.Option("--start", help="Do the trainings that the answer releases in this process.")
]


def incidents(
    key: Key = None, answer: Answer = None, why: Why = None, start: Start = False, root: Root = None
) -> None:
    """List the incidents, the open ones first; show one; or say of one whether it is a fault or real.

    Where Airflow runs, answer in its UI: the run of `keepfit__incident` starts the held trainings. Here they
    are started with --start, in this process, those that have come to no verdict yet.
    """
    if key is None and (answer or why or start):
        raise typer.BadParameter("Name the incident that is answered: `keepfit incidents` lists them.")
    if why and not answer:
        raise typer.BadParameter("--why is the reason of an --answer. Give that too: fault or real.")
    project = open_project(root)
    with open_stores(project) as locations:
        from keepfit.ledger import Ledger

        ledger = Ledger(locations.ledger_url)
        if key is None:
            _list(ledger)
        else:
            _answer_or_show(project, ledger, key, answer, why)
            _start(project, ledger, key, start=start)


def _list(ledger: "Ledger") -> None:
    from keepfit.pipeline.incident import find_cases

    rows = [
        (
            case.incident.key,
            case.answer.answer if case.answer else "open",
            case.incident.view,
            moment(case.incident.window_end),
            case.incident.reason,
            _models(case),
            moment(case.incident.opened_at),
        )
        for case in find_cases(ledger)
    ]
    typer.echo(table(("INCIDENT", "ANSWER", "VIEW", "WINDOW END", "SEEN", "MODELS", "SINCE"), rows))


def _models(case: "Case") -> str:
    told = [
        f"{len(names)} {verdict}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for verdict in ("held", "blocked")
        if (names := case.models(verdict))
    ]
    return "; ".join(told) or "-"


def _answer_or_show(
    project: Project, ledger: "Ledger", key: str, answer: str | None, why: str | None
) -> None:
    from keepfit.pipeline.answering import answer_case
    from keepfit.pipeline.incident import find_case

    if answer is None:
        case = find_case(ledger, key)
        typer.echo(f"{case.subject}\n\n{case.body}\n" if case.answer is None else case.body)
    else:
        at = datetime.now(UTC)
        case = answer_case(project, key, answer, who=person(), why=why, at=at)
    typer.echo(case.consequence)


def _start(project: Project, ledger: "Ledger", key: str, *, start: bool) -> None:
    from keepfit.pipeline.answering import released
    from keepfit.pipeline.incident import find_case

    waiting = released(ledger, find_case(ledger, key))
    if waiting and not start:
        typer.echo(
            f"{len(waiting)} trainings have come to no verdict yet. `keepfit incidents {key} --start` does "
            "them in this process; where Airflow runs, clear the task `ask` of its run of keepfit__incident."
        )
    for each in waiting if start else ():
        do_all(project, decided(project, each["model"], each["run_id"], each["conf"]))
