"""The verb: all it writes is Python and params that load; what is there stays unless it is forced."""

import ast
import shutil
import string
import subprocess
import sys
from pathlib import Path

import made
import numpy as np
import orders
import pandas as pd
import pytest
import yaml

from delivery.__main__ import main
from delivery.core import params, params_file
from delivery.fork import adopt
from delivery.fork.new import schema, write


@pytest.fixture
def file(folder: Path) -> Path:
    orders.rows().to_csv(folder / "orders.csv", sep=";", index=False)
    shutil.copy(made.ROOT / "params.yaml", folder)
    return folder / "orders.csv"


def test_everything_is_written_and_nothing_is_left_to_fill_in(file: Path, capsys) -> None:
    assert main(["new", "orders.csv", "--target", "Churned", "--to", "made"]) == 0
    said = capsys.readouterr().out
    assert "out       minutes late: tells Churned alone" in said
    assert said.splitlines()[-1].endswith("read made/schema.py and made/params.yaml; then `delivery adopt made`")
    assert {path.name for path in Path("made").iterdir()} == set(adopt.FILES)
    assert Path("source/orders.csv").read_bytes() == file.read_bytes()
    for path in Path("made").iterdir():
        text = path.read_text()
        assert "$" not in text, "a place of the template was not filled"
        assert ast.parse(text) if path.suffix == ".py" else yaml.safe_load(text)
    said = yaml.safe_load(Path("made/params.yaml").read_text())["card"]
    assert {name: text.startswith(params.UNWRITTEN) for name, text in said.items()} == dict.fromkeys(
        params.CARD_SECTIONS, True
    )


def test_params_hold_what_was_chosen_and_what_a_team_had_decided(file: Path) -> None:
    """The sample's numbers go with the sample; environments, branches and the engine are the team's."""
    own = params_file.edited(made.LEAST_PARAMS, "loadtest", {"users": 3})
    own += "deploy:  # ours\n  environments: {staging: {target: docker}}\n\n# about the next\nvalidate: {}\n"
    own += "promote: {releases: [staging]}\ndrift: {min_rows: 7}\nengine: stream\n"
    Path("params.yaml").write_text(own)
    assert main(["new", "orders.csv", "--target", "Churned", "--to", "made"]) == 0
    text = Path("made/params.yaml").read_text()
    tree = yaml.safe_load(text)
    stages = yaml.safe_load((made.ROOT / "dvc.yaml").read_text())["stages"]
    assert tree.keys() >= {name for stage in stages.values() for name in stage["params"]}
    assert tree["deploy"] == {"environments": {"staging": {"target": "docker"}}}
    assert (tree["loadtest"], tree["engine"]) == ({"users": 3}, "stream")
    assert tree["drift"]["min_rows"] != 7
    assert (tree["drift"]["periods_per_year"], tree["drift"]["label_days"]) == (12, 0)
    assert "promote" not in tree, "it says what the default is"
    assert "deploy:  # ours\n" in text
    assert "# about the next" not in text
    usual = params.effective({})
    for section in ("fetch", "prepare", "compare", "gate", "drift"):
        assert tree[section].keys() <= params.effective(tree)[section].keys()
    assert not tree["gate"].keys() & {"model_mb", "latency_us", "segment_alpha"}
    assert params.effective(tree)["gate"]["latency_us"] == usual["gate"]["latency_us"]


def test_what_is_there_stays_unless_it_is_forced(file: Path, capsys) -> None:
    words = ["new", "orders.csv", "--target", "Churned", "--to", "made"]
    assert [main(words), main(words), main([*words, "--force"])] == [0, 1, 0]
    assert (
        capsys.readouterr().err
        == "error: made exists already; overwrite it with --force, or name another folder with --to\n"
    )


def test_a_refusal_writes_nothing(file: Path) -> None:
    assert main(["new", "orders.csv", "--target", "note", "--to", "made"]) == 1
    assert sorted(path.name for path in Path().iterdir()) == ["orders.csv", "params.yaml"]


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_other_tasks_fetch_and_compute_the_same_online_and_offline(kind: str, folder: Path) -> None:
    """In a process of its own, which has the new problem in the sample's place."""
    rng = np.random.default_rng(0)
    x, count = rng.normal(size=(600, 2)), 600
    frame = pd.DataFrame(
        {"x 1": x[:, 0], "shop": rng.integers(1, 4, count), "gap": np.where(x[:, 1] > 1, np.nan, x[:, 1])}
    )
    frame["target"] = x[:, 0] * 3 if kind == "regression" else np.digitize(x[:, 0], [-0.5, 0.5])
    frame["target"] += rng.normal(size=count) if kind == "regression" else 0
    if kind == "multiclass":
        frame.insert(0, "at", pd.date_range("2024-01-01", periods=count, freq="7h", tz="Europe/Berlin"))
    frame.to_parquet("rows.parquet")
    shutil.copy(made.ROOT / "params.yaml", folder)
    assert main(["new", "rows.parquet", "--to", "src/problem", "--segments", "shop", "--keep", "x 1"]) == 0
    (folder / "src" / "problem" / "params.yaml").rename(folder / "params.yaml")
    (folder / "src" / "problem" / "__init__.py").write_text((made.ROOT / "src" / "problem" / "__init__.py").read_text())
    (folder / "src" / "delivery").symlink_to(made.ROOT / "src" / "delivery")
    code = """
from delivery.pipeline import export
from delivery.data import fetch, prepared
from delivery.core import params
from delivery.pipeline import prepare
from delivery.data import tables
from delivery.pipeline import validate
from delivery.core.workspace import DATA
from problem import FEATURES, row
settings = params.load()
fetch.into(DATA, settings.fetch.until)
validate.run(settings)
prepare.run(settings)
rows = prepared.read("test")
online = [row(request) for request in export.requests(rows)]
for name, *values in zip(FEATURES, *online):
    offline = rows[name].astype(object).where(rows[name].notna(), None).tolist()
    assert values == offline, name
"""
    environment = {"PYTHONPATH": str(folder / "src"), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_templates_ask_for_nothing_that_is_not_given() -> None:
    places = {
        name for path in write.TEMPLATES.iterdir() for name in string.Template(path.read_text()).get_identifiers()
    }
    assert {"file", "columns", "until", "floors"} <= places
    given = "".join(Path(str(module.__file__)).read_text() for module in (schema, write))
    assert all(name in given for name in places)


def test_nothing_in_the_file_ends_a_comment_or_a_word(folder: Path) -> None:
    """Names and values of a file that somebody sent are words, never code."""
    shutil.copy(made.ROOT / "params.yaml", folder)
    name = 'a"""\nimport os\n# $x \\'
    frame = orders.rows().rename(columns={"class": name, "note": f"{name}2", "Churned": f"{name}3"})
    frame[name] = frame[name].map({"Nord": '"]\nimport os', "Süd": "'\\"}).fillna("$y")
    frame.to_csv("a'b $z.csv", index=False)
    assert main(["new", "a'b $z.csv", "--target", f"{name}3", "--to", "made"]) == 0
    for path in Path("made").glob("*.py"):
        imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
        assert "os" not in [alias.name for node in imported for alias in node.names]
    yaml.safe_load(Path("made/params.yaml").read_text())
