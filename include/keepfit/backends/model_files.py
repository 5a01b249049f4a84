"""A model's folder: its native file and a card, both known by their SHA-256. The door to skops.

Nothing here unpickles. A folder is read only if its files are exactly those recorded elsewhere.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from keepfit.backends.coding import Coding
from keepfit.errors import KeepfitError, TrainingError, UntrustedModelError

if TYPE_CHECKING:
    from keepfit.backends.coded_model import CodedModel

CARD = "keepfit_model.json"
READERS = {
    "lightgbm": "keepfit.backends.trainers.lightgbm",
    "xgboost": "keepfit.backends.trainers.xgboost",
    "skops": "keepfit.backends.trainers.sklearn",
}
Task = Literal["classification", "regression"]
_SAID = 200
"""So much of what a library says of a foreign file is passed on."""


@dataclass(frozen=True)
class Card:
    """What a model is, as its folder says it."""

    flavor: str
    task: Task
    coding: Coding


def seal(folder: Path, card: Card) -> None:
    """Write the card of a finished folder, with the SHA-256 of each file already there."""
    content = {
        "format": 1,
        "flavor": card.flavor,
        "task": card.task,
        "features": [{"name": name, "kind": kind} for name, kind in card.coding.features.items()],
        "levels": {name: list(levels) for name, levels in card.coding.levels.items()},
        "files": digests(folder),
    }
    (folder / CARD).write_text(json.dumps(content, indent=1))


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, by its path within.

    Raises:
        UntrustedModelError: The folder holds something else than files and folders of its own.
    """
    _refuse_links(folder, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(folder: Path, recorded: Mapping[str, str]) -> "CodedModel":
    """Read a model whose files are exactly those recorded.

    Args:
        folder: The model's folder.
        recorded: The SHA-256 of each file, from the registry or the run's record, never from the folder.

    Raises:
        UntrustedModelError: A file is missing, added or changed, or a link; the card names no known flavor;
            or a file is not what the card says it is.
    """
    _refuse_links(folder, folder)
    with TemporaryDirectory(prefix="keepfit-model-") as private:
        # What is held against the digests is what is read: nobody else can change it in between.
        copy = Path(private) / "model"
        if folder.is_dir():
            shutil.copytree(folder, copy, symlinks=True)
        _verify(copy, folder, recorded)
        return _read(copy, folder, read_card(copy, folder))


def _read(copy: Path, folder: Path, card: Card) -> "CodedModel":
    try:
        model: CodedModel = import_module(READERS[card.flavor]).read(copy, card)
    except KeepfitError as error:
        raise UntrustedModelError(f"{folder}: {error}") from error
    except Exception as error:  # a library may choke on a foreign file in any way
        said = f"{type(error).__name__}: {error}".splitlines()[0][:_SAID]
        raise UntrustedModelError(
            f"{folder} does not hold the {card.flavor} model that its card says it is ({said}). Do not use "
            "it. keepfit reads the native files of its own trainers, and never a pickle."
        ) from error
    return model


def _refuse_links(folder: Path, called: Path) -> None:
    """Refuse links, which may lead out of the folder, and what is no file at all."""
    if not folder.is_dir():
        return
    odd = [path for path in folder.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if odd:
        named = ", ".join(sorted(path.relative_to(folder).as_posix() for path in odd))
        raise UntrustedModelError(
            f"The folder of the model in {called} holds a link, or what is no file: {named}. "
            "A model has plain files of its own only. Do not use it. Restore the files from a backup, or go "
            "back to another version."
        )


def read_card(folder: Path, called: Path | None = None) -> Card:
    """Read a folder's card; `called` names the folder in errors, if it is a copy."""
    called = called or folder
    try:
        content = json.loads((folder / CARD).read_text())
        coding = Coding(
            {each["name"]: each["kind"] for each in content["features"]},
            {name: tuple(levels) for name, levels in content["levels"].items()},
        )
        card = Card(content["flavor"], content["task"], coding)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UntrustedModelError(
            f"{called} holds no model of keepfit's: {CARD} does not read ({type(error).__name__}: {error}). "
            "A trainer of your own returns one of keepfit's models, whose `save` writes the card."
        ) from error
    if card.flavor not in READERS:
        raise UntrustedModelError(
            f"{called / CARD} names the flavor {card.flavor!r}. keepfit reads {', '.join(READERS)}."
        )
    return card


def _verify(copy: Path, folder: Path, recorded: Mapping[str, str]) -> None:
    _refuse_links(copy, folder)
    found = digests(copy)
    wrong = sorted(name for name in found.keys() | recorded.keys() if found.get(name) != recorded.get(name))
    if wrong or not recorded:
        raise UntrustedModelError(
            f"The files of the model in {folder} are not those recorded when it was made: "
            f"{', '.join(wrong) or 'nothing is recorded'}. "
            "Do not use it. Restore the files from a backup, or roll back to another version."
        )


TRUSTED = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn._loss.loss.HalfGammaLoss",
    "sklearn._loss.loss.HalfPoissonLoss",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)
"""Beyond what skops itself trusts. Fixed here: a list read from the file would trust whoever wrote it."""


def dump_estimator(estimator: Any, path: Path) -> None:
    """Write an estimator with skops; what could not be read back is refused here, not at deployment."""
    skops = _skops()
    skops.dump(estimator, path)
    if foreign := _foreign(path):
        raise TrainingError(
            f"{type(estimator).__name__} holds types that keepfit does not read back: {', '.join(foreign)}. "
            "Choose another estimator; the list of readable types is keepfit.backends.model_files.TRUSTED."
        )


def load_estimator(path: Path) -> Any:
    """Read an estimator with skops, if it holds no type outside the allow-list."""
    if foreign := _foreign(path):
        raise UntrustedModelError(
            f"{path.name} holds types outside keepfit's allow-list: {', '.join(foreign)}. Do not use it."
        )
    return _skops().load(path, trusted=list(TRUSTED))


def _foreign(path: Path) -> list[str]:
    return sorted(set(_skops().get_untrusted_types(file=path)) - set(TRUSTED))


def _skops() -> Any:
    """Import skops, which looks for its functions in all modules, also in those that warn of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skops.io
    return skops.io
