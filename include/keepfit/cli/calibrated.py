"""What a calibration found, in tables for a terminal."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from keepfit.cli.table import table
from keepfit.spec.fields import duration_text

_SHIFTS = ("mean", "scale", "missing", "unseen")
_UNITS: Mapping[str, str] = {
    "mean": "{:g} sd",
    "scale": "x {:g}",
    "missing": "+{:.3g} %",
    "unseen": "{:.3g} %",
}
_SIGNALS = {
    "share": "share of drifted columns",
    "weighted": "weighted drift",
    "prediction": "prediction drift",
}
_HEAD = ("BY CHANCE", "BY TIME", "THRESHOLD", "ALARMS LATER")


def told(found: Mapping[str, Any]) -> Iterator[str]:
    """Write a calibration as tables for a terminal."""
    length = duration_text(timedelta(seconds=found["about"]["every"]))
    yield (
        f"{found['windows']} quiet windows of {length}, version {found['about']['version']}; "
        f"thresholds for false alarms in {_share(found['false_alarms'])} of them"
    )
    yield from (f"left out {key}: {why}" for key, why in found["about"]["left_out"].items())
    if not found["columns"]:
        yield "insufficient data: no column has values in every window"
        return
    yield ""
    yield table(
        ("COLUMN", *_HEAD, *(f"SEES {name}".upper() for name in _SHIFTS)),
        [(name, *_alarm(each["alarm"]), *_powers(each)) for name, each in found["columns"].items()],
    )
    yield ""
    signals = {said: found["signals"][name] for name, said in _SIGNALS.items() if name in found["signals"]}
    yield table(
        ("SIGNAL", "NOW", *_HEAD),
        [(said, _figure(each["used"]), *_alarm(each)) for said, each in signals.items()],
    )
    yield from _reasons(found)


def _alarm(alarm: Mapping[str, Any]) -> tuple[str, ...]:
    later = f"{_share(alarm['held_out'])} of {alarm['held_out_windows']}"
    return (
        _share(alarm["by_chance"]),
        _share(alarm["by_time"]),
        _figure(alarm["threshold"]),
        later if alarm["held_out"] is not None else "-",
    )


def _powers(column: Mapping[str, Any]) -> Iterator[str]:
    known = {each["shift"]: each for each in column["powers"]}
    for name in _SHIFTS:
        each = known.get(name)
        if each is None or not each["seen"]:
            yield "-"
        elif each["smallest"] is None:
            yield "none"
        else:
            by = 100 if name in ("missing", "unseen") else 1
            yield _UNITS[name].format(by * each["smallest"])


def _reasons(found: Mapping[str, Any]) -> Iterator[str]:
    """Say once why there is no threshold."""
    alarms = [*(each["alarm"] for each in found["columns"].values()), *found["signals"].values()]
    yield from dict.fromkeys(each["reason"] for each in alarms if each["reason"])


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g} %"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
