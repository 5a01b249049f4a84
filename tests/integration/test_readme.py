"""The commands that README and docs show are run as they stand there."""

import os
import re
import shlex
import socket
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from keepfit.cli.app import app
from keepfit.spec import load_dataset

ROOT = Path(__file__).parents[2]
START = datetime(2026, 1, 1)  # noqa: DTZ001 - as a database stores it
SHOWN = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def keepfit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/serving.md", "docs/your-own-model.md"])
def test_the_commands_shown_work(page: str, warm: list[str]) -> None:
    script = "set -e\n" + "\n".join(SHOWN.findall((ROOT / page).read_text()))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        script = script.replace("18090", str(probe.getsockname()[1]))
    foreign = ("AIRFLOW", "KEEPFIT")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # Not pytest's own folder: as root the database is another user, whom another pytest would lock out of it.
    with TemporaryDirectory(prefix="keepfit-readme-") as folder, TemporaryDirectory() as commands:
        shown = Path(commands) / "keepfit"
        shown.write_text(f'#!/bin/sh\nexec {shlex.join(warm)} -m keepfit "$@"\n')
        shown.chmod(0o755)
        clean["PATH"] = f"{commands}:{clean['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=clean, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_dataset_shown_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "your-own-model.md").read_text()
    shown = re.search(r"^```yaml\n(name: payments.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown
    path = tmp_path / "payments.yaml"
    path.write_text(shown[1])
    assert load_dataset(path).schedule == "@daily"


BLOCK = re.compile(r"^```(yaml|sql|python|csv)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACES = {
    "name: payments": "datasets/payments.yaml",
    "name: sales": "datasets/sales.yaml",
    "Order No": "../data/sales.csv",
    "name: account_payments": "datasets/account_payments.yaml",
    "SELECT DISTINCT": "transforms/account_payments.sql",
    "from datetime": "features.py",
    "name: fraud": "models/fraud.yaml",
}


@pytest.fixture
def payments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project whose files the page shows, and three months of payments in SQLite."""
    chance = Random(3)  # noqa: S311, for data, not for secrets
    root, database = tmp_path / "pay", tmp_path / "shop.db"
    rows = [
        (f"p{n}", f"a{n % 40}", str(START + n * timedelta(hours=1)), chance.expovariate(0.1))
        for n in range(2200)
    ]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TABLE payments (payment_id TEXT, account TEXT, paid_at TIMESTAMP, amount REAL, fraud INT)"
        )
        connection.executemany(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?)",
            [(*row, int(row[3] > 20 and chance.random() < 0.7)) for row in rows],
        )
    assert keepfit("new", root).exit_code == 0
    repo = root / "feature_repo"
    for shop_file in (
        *repo.glob("datasets/*.yaml"),
        *repo.glob("expectations/*"),
        *repo.glob("models/*.yaml"),
    ):
        shop_file.unlink()
    (repo / "transforms").mkdir()
    for _, text in BLOCK.findall((ROOT / "docs" / "your-own-model.md").read_text()):
        (repo / next(place for start, place in PLACES.items() if re.match(rf"{start}\b", text))).write_text(
            text
        )
    settings = repo / "keepfit.yaml"
    settings.write_text(settings.read_text().replace("database: embedded", "database: sqlite"))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"sqlite:///{database}")
    return root


def test_the_files_shown_are_a_sound_project(payments: Path) -> None:
    checked = keepfit("check", "--root", payments)
    assert checked.output == "No problems (datasets: 3, models: 1).\n"


def test_the_spreadsheet_shown_is_published_as_it_is(payments: Path) -> None:
    done = keepfit("run", "sales", "--from", "2026-01-01", "--to", "2026-02-01", "--root", payments)
    assert done.exit_code == 0, done.output
    (file,) = (payments / ".keepfit" / "lake" / "sales").rglob("*.parquet")
    known = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)
    assert pq.read_table(file).to_pylist() == [{"order_no": "1001", "ordered_at": known, "price": 12.5}]


@pytest.mark.slow
def test_the_files_shown_train_a_model(payments: Path, warm: list[str]) -> None:
    shown = {name: os.environ[name] for name in os.environ if not name.startswith(("AIRFLOW__", "KEEPFIT"))}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*warm, "-m", "keepfit", "run", *arguments, "--root", payments],
            env=shown, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    window = ("--from", "2026-01-01", "--to", "2026-04-01")
    assert "rows=2160" in run("payments", *window)
    assert "rows=2160" in run("account_payments", *window)
    assert "version 1 is champion" in run("fraud")


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert broken == []
