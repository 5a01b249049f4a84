"""Tells what a replay showed, and whether the policy in the model's file is the one it suggests."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from keepfit.spec import ModelSpec
from keepfit.spec.policy import PolicySpec
from keepfit.steps.choose_policy import to_price

COSTS = {"flight_delay": 0.002, "arrival_delay": 0.2}
"""Of a training: what each model's file says, with the reason."""
_WIDTH = 88
"""Letters that a line of the suggestion may have; YAML counts without what indents it."""
_PARTS = {"choosing": "chosen on", "reporting": "held against"}


def tell_choice(console: Console, spec: ModelSpec, report: Path) -> None:
    """Show a replay's short table, the policy it suggests, and how that compares with the model's file."""
    choice = json.loads(report.with_name("choice.json").read_text(encoding="utf-8"))
    console.print(_table(choice))
    suggested = yaml.safe_dump(yaml.safe_load(choice["suggestion"]), sort_keys=False, width=_WIDTH)
    for line in choice["evidence"]:
        if line.startswith("Little evidence"):
            console.print(line, highlight=False)
    console.print(suggested.rstrip(), highlight=False, markup=False)
    console.print(compared(spec, PolicySpec.model_validate(choice["policy"])), highlight=False)
    console.print(f"The whole report: {report}\n", highlight=False, soft_wrap=True)


def compared(spec: ModelSpec, suggested: PolicySpec) -> str:
    """Say whether a suggested policy is the one in the model's file; why it was chosen is no part of it."""
    place = f"feature_repo/models/{spec.name}.yaml"
    if _decides(suggested) == _decides(spec.policy):
        return f"[green]This is the policy in {place}[/]: replay chose it, and it decides from here on."
    return (
        f"[yellow]The policy in {place} is another one[/], and decides from here on. Its reason: "
        f"{spec.policy.because or 'none given'}. Another machine or an edit may tip a near tie; paste the "
        "block above to follow this replay."
    )


def _decides(policy: PolicySpec) -> PolicySpec:
    return policy.model_copy(update={"because": ""})


def _table(choice: Mapping[str, Any]) -> Table:
    weeks = sum(choice["parts"][name]["windows"] for name in _PARTS)
    title = (
        f"Which policy would have paid for {choice['model']}?\n{weeks} versions, one a week, each held "
        f"against all later weeks; a training costs {choice['cost']:g} of {choice['objective']}"
    )
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("\n\n\npolicy")
    for name, said in _PARTS.items():
        part = choice["parts"][name]
        dates = f"{_day(part['start'])}-{_day(part['end'])}"
        table.add_column(f"{said}\n{dates}\ntrained\n(refused)", justify="right", no_wrap=True)
        table.add_column("\n\n\ncost", justify="right", no_wrap=True)
    for row in _rows(choice):
        table.add_row(*row)
    return table


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%d %b}"


def _rows(choice: Mapping[str, Any]) -> Iterator[list[str]]:
    usual = {each["name"]: each for each in choice["tried"]}
    chosen, price = choice["chosen"], choice["cost"]
    yield [f"[bold]{chosen['name']} (chosen)[/]", *_figures(chosen, price)]
    for other in choice["against"]:
        yield [other["name"], *_figures(usual[other["name"]], price)]
    oracle = {name: choice["parts"][name]["oracle"] for name in _PARTS}
    yield ["oracle (knows the future)", *_figures(oracle, price)]


def _figures(tried: Mapping[str, Any], price: float) -> Iterator[str]:
    for name in _PARTS:
        refused = tried[name].get("refusals")
        yield f"{tried[name]['trainings']}{f' ({refused})' if refused else ''}"
        yield to_price(tried[name]["cost"], price)
