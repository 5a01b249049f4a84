"""Worlds with a known truth, small enough to make by the hundred.

A label is a straight line through thirty features, with noise. Each week has some hundred rows, and a model
is the least squares fit of the weeks before its holdout, thirteen mostly: so it learns, ages and is judged by
rows, with all the luck there is in them. What changes is by the kind of world.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.policy import DriftSignal, Matrix, PerformanceSignal, RegretSignal, Score
from keepfit.testing import matrix

Array = NDArray[np.float64]
WINDOWS, FEATURES, ROWS = 48, 30, 300
PAST, HOLDOUT, TRAILING = 5, 2, 13
"""Windows of history before the first cut; those of a holdout; and those trained on, at most; all unless
the world says otherwise."""
FAR = 0.1
"""A column whose mean moved by so much of its spread has drifted: Evidently's default, by Wasserstein."""
SURE = 1.645
"""Standard errors that a challenger must be better by, to pass the gate."""


@dataclass(frozen=True)
class World:
    """What is true in each window, counted from the beginning of the history."""

    slopes: Array
    centres: Array
    """The features' means."""
    noise: Array
    """The standard deviation of the labels about the line."""
    past: int = PAST
    """Windows of history before the first cut."""
    trailing: int = TRAILING
    """Windows that a training takes, at most."""
    levels: Array | None = None
    """What is added to all labels of a window; a model knows the mean of those it was trained on."""


def stationary(chance: np.random.Generator) -> World:
    """Nothing ever changes; later models have more rows, until they have thirteen weeks."""
    slopes = np.tile(_direction(chance), (PAST + WINDOWS, 1))
    return World(slopes, np.zeros_like(slopes), np.ones(len(slopes)))


def steady(chance: np.random.Generator) -> World:
    """The line turns a little each week: a model loses 2 % more after a quarter, and 20 % after a year."""
    world = stationary(chance)
    pace = 0.01 * chance.lognormal(0, 0.5)
    weeks = np.arange(PAST + WINDOWS)[:, None]
    return World(world.slopes + pace * weeks * _direction(chance), world.centres, world.noise)


def breaking(chance: np.random.Generator) -> World:
    """Three times in the history, on average, the line changes at once, and the features half the time."""
    world = stationary(chance)
    slopes, centres = world.slopes.copy(), world.centres.copy()
    for at in np.flatnonzero(chance.random(PAST + WINDOWS) < 3 / WINDOWS):
        slopes[at:] += 0.3 * _direction(chance)
        if chance.random() < 0.5:
            centres[at:] += chance.normal(0, 0.3, FEATURES)
    return World(slopes, centres, world.noise)


def seasonal(chance: np.random.Generator) -> World:
    """The features and the noise go round with the year, and the line stays: training mends nothing."""
    world = stationary(chance)
    angle = 2 * np.pi * np.arange(PAST + WINDOWS)[:, None] / 52
    centres = 0.5 * np.sin(angle + chance.uniform(0, 2 * np.pi, FEATURES)) * chance.random(FEATURES)
    return World(world.slopes, centres, 1 + 0.15 * np.sin(angle[:, 0] + chance.uniform(0, 2 * np.pi)))


def learning(chance: np.random.Generator) -> World:
    """As in steady change, but the first model knows one week, and each later one all before it."""
    world = steady(chance)
    return replace(world, past=HOLDOUT + 1, trailing=len(world.noise))


KINDS: Mapping[str, Callable[[np.random.Generator], World]] = {
    "nothing changes": stationary,
    "steady change": steady,
    "breaks": breaking,
    "seasons only": seasonal,
    "much to learn": learning,
}


def _direction(chance: np.random.Generator) -> Array:
    drawn = chance.normal(size=FEATURES)
    return np.asarray(drawn / np.linalg.norm(drawn))


def replayed(world: World, chance: np.random.Generator) -> Matrix:
    """Draw a history from a world, train at each cut, and measure each model in each window after it."""
    return History(world, chance).matrix()


class History:
    """Rows of each window, a model of each cut, and the squares of what each missed in each window."""

    def __init__(self, world: World, chance: np.random.Generator) -> None:
        size = len(world.noise)
        self._first, self._trailing = PAST - world.past, world.trailing
        self.rows = chance.normal(size=(size, ROWS, FEATURES)) + world.centres[:, None, :]
        noise = chance.normal(size=(size, ROWS)) * world.noise[:, None]
        label = np.einsum("trf,tf->tr", self.rows, world.slopes) + noise
        self.label = label if world.levels is None else label + world.levels[:, None]
        self._means = np.array([self._mean(cut) for cut in range(WINDOWS + 1)])
        intercepts = np.zeros(WINDOWS + 1) if world.levels is None else self._means
        self.means = self.rows.mean(axis=1)
        self.models = np.array([self._trained(PAST + cut, intercepts[cut]) for cut in range(WINDOWS + 1)])
        self.scores = np.einsum("trf,sf->str", self.rows, self.models) + intercepts[:, None, None]
        self.missed = (self.scores - self.label) ** 2
        self.sorted = np.sort(self.scores, axis=2)
        self.fitted = [self._fitted(PAST + cut) for cut in range(WINDOWS)]

    def _taken(self, now: int) -> slice:
        """Return the windows that a training takes."""
        return slice(max(self._first, now - HOLDOUT - self._trailing), now - HOLDOUT)

    def _fitted(self, now: int) -> tuple[Array, Array]:
        """Return the mean and the spread of each feature in the rows of a training."""
        rows = self.rows[self._taken(now)].reshape(-1, FEATURES)
        return rows.mean(axis=0), rows.std(axis=0)

    def _mean(self, cut: int) -> float:
        """Return the mean label of a training's rows."""
        return float(self.label[self._taken(PAST + cut)].mean())

    def _trained(self, now: int, intercept: float) -> Array:
        taken = self._taken(now)
        rows, known = self.rows[taken].reshape(-1, FEATURES), self.label[taken].ravel() - intercept
        return np.asarray(np.linalg.lstsq(rows, known, rcond=None)[0])

    def matrix(self, passes: Callable[[int, int], bool] | None = None) -> Matrix:
        """Return what replay walks over; by another gate, if one is given."""
        return matrix(WINDOWS, self.loss, measured=self.measured, passes=passes or self.passes)

    def loss(self, cut: int, at: int) -> float:
        """Return what the model of a cut loses in a window, per row."""
        return float(self.missed[cut, PAST + at].mean())

    def passes(self, champion: int, challenger: int) -> bool:
        """Ask whether the challenger is surely better on its own holdout, as the gate does by default."""
        held = slice(PAST + challenger - HOLDOUT, PAST + challenger)
        better = (self.missed[champion, held] - self.missed[challenger, held]).ravel()
        return bool(better.mean() > SURE * better.std() / np.sqrt(better.size))

    def useful(self, cut: int) -> bool:
        """Ask whether a model does better on its holdout than the mean label of its training."""
        held = slice(PAST + cut - HOLDOUT, PAST + cut)
        return bool(self.missed[cut, held].mean() < ((self.label[held] - self._means[cut]) ** 2).mean())

    def measured(self, cut: int, at: int) -> Mapping[str, Any]:
        """Measure what the live loop would."""
        now, held = PAST + at, slice(PAST + cut - HOLDOUT, PAST + cut)
        centre, spread = self.fitted[cut]
        moved = np.abs(self.means[now] - centre) / spread
        weight = np.abs(self.models[cut])
        guessed = (self.label[now] - self.label[held].mean()) ** 2
        worse = self.missed[cut, now] - self.missed[at, now]
        before, after = self.sorted[cut, held].mean(axis=0), self.sorted[cut, now]
        drifted = tuple(f"f{each}" for each in np.flatnonzero(moved > FAR))
        return {
            "performance": PerformanceSignal(
                "mse",
                False,
                ROWS,
                self.loss(cut, at),
                float(self.missed[cut, held].mean()),
                baseline=float(guessed.mean()),
                baseline_noise=float(SURE * (self.missed[cut, now] - guessed).std() / np.sqrt(ROWS)),
            ),
            "drift": DriftSignal(
                ROWS,
                FEATURES,
                drifted,
                len(drifted) / FEATURES,
                weighted=Score(float(moved @ weight / weight.sum())),
            ),
            "prediction": Score(float(np.abs(after - before).mean() / before.std())),
            "regret": RegretSignal(float(worse.mean()), float(worse.std() / np.sqrt(ROWS)), ROWS),
            "new_rows": ROWS * (at - cut + 1),
        }
