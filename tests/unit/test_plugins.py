import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from keepfit.errors import UnknownPluginError
from keepfit.plugins import find, names, use_plugins


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a metric of its own in plugins/, within reach."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "shop_costs.py").write_text("def cost(y_true, score):\n    return 0.5\n")
    (plugins / "shop_broken.py").write_text("import no_such_package\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    use_plugins(tmp_path)
    monkeypatch.delitem(sys.modules, "shop_costs", raising=False)
    return tmp_path


def test_built_in_plugins_are_found_by_name() -> None:
    assert {"lightgbm", "sklearn", "xgboost"} <= set(names("trainers"))
    assert {"log_loss", "roc_auc", "rmse", "mae"} <= set(names("metrics"))
    assert {"files", "sql"} <= set(names("sources"))
    assert callable(find("metrics", "log_loss"))
    assert callable(find("trainers", "lightgbm"))


@pytest.mark.usefixtures("project")
def test_a_function_of_the_projects_plugins_folder_is_found() -> None:
    assert find("metrics", "shop_costs:cost")([], []) == 0.5


def test_an_unknown_name_says_what_is_installed_and_how_to_offer_one() -> None:
    with pytest.raises(UnknownPluginError) as error:
        find("trainers", "lightgmb")
    assert str(error.value) == (
        "No plugin 'lightgmb' in 'keepfit.trainers'. Did you mean 'lightgbm'? "
        f"Installed: {', '.join(names('trainers'))}. "
        'A package offers one with [project.entry-points."keepfit.trainers"] in its pyproject.toml; '
        "one of your own in plugins/ is named module:function."
    )


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("shop_cost:cost", "No module named 'shop_cost'"),
        ("shop_costs:price", "module 'shop_costs' has no attribute 'price'"),
        ("shop_broken:cost", "No module named 'no_such_package'"),
    ],
)
def test_a_plugin_that_does_not_load_says_why(name: str, why: str) -> None:
    with pytest.raises(UnknownPluginError) as error:
        find("metrics", name)
    assert str(error.value).startswith(f"The plugin '{name}' of 'keepfit.metrics' does not load: {why}.")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["", ":", "shop_costs:", ":cost", "a b:c", "../x:y"])
def test_a_name_that_is_none_is_refused_like_any_unknown_one(name: str) -> None:
    with pytest.raises(UnknownPluginError, match="plugin"):
        find("metrics", name)


def test_the_plugins_folder_is_put_last_and_only_once(project: Path) -> None:
    use_plugins(project)
    assert sys.path.count(str(project / "plugins")) == 1
    assert sys.path[-1] == str(project / "plugins")


def test_a_stranger_package_offers_a_metric_by_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text("def always_one(y_true, score):\n    return 1.0\n")
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[keepfit.metrics]\nalways_one = stranger:always_one\n")
    script = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from keepfit.plugins import find
        print(find("metrics", "always_one")([], []))
    """
    done = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "1.0\n"
