"""What a calibration found, in tables for a terminal."""

import re
from collections.abc import Iterator, Mapping, Sequence
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
_FEW_ROWS = re.compile(r"^\d+ rows of (\d+) needed$")


def told(found: Mapping[str, Any]) -> Iterator[str]:
    """Write a calibration as tables for a terminal."""
    length = duration_text(timedelta(seconds=found["about"]["every"]))
    yield (
        f"{found['windows']} quiet windows of {length}, version {found['about']['version']}; "
        f"thresholds for false alarms in {_share(found['false_alarms'])} of them"
    )
    yield from _left_out(found["about"]["left_out"])
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
    yield from _tested(found["about"].get("tested", ()))


def _tested(columns: Sequence[str]) -> Iterator[str]:
    """Say what the figures are not for: a p-value hangs on the rows, so no threshold for it lasts."""
    if columns:
        yield ""
        yield (
            f"Monitoring compares {', '.join(columns)} by p-values, and all above are distances: their "
            "thresholds and shifts, the share of drifted columns and the weighted drift are not those that "
            "monitoring sees. Set monitor.drift.method to jensenshannon or psi (or wasserstein, for "
            "numbers), and calibrate again. Scores and jumps are compared by distances either way."
        )


def _left_out(left_out: Mapping[str, str]) -> Iterator[str]:
    """Say each reason once, however many windows were left out for it."""
    windows: dict[str, list[str]] = {}
    for key, why in left_out.items():
        windows.setdefault(_FEW_ROWS.sub(r"fewer rows than the \1 needed", why), []).append(key)
    for why, keys in windows.items():
        if len(keys) == 1:
            yield f"left out {keys[0]}: {left_out[keys[0]]}"
        else:
            yield f"left out {len(keys)} windows, {min(keys)} to {max(keys)}: {why}"


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
    if reasons := dict.fromkeys(each["reason"] for each in alarms if each["reason"]):
        yield from reasons
        yield "Less history is enough for shorter windows (--every) or more false alarms (--false-alarms)."


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g} %"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
