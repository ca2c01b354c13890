"""Another problem is taken whole or not at all, and never over work that git does not hold."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import made
import pytest
import yaml

from delivery.core import ownership, params
from delivery.core.errors import Failure
from delivery.core.params_file import flat
from delivery.fork import adopt

EXAMPLES = sorted(path for path in (made.ROOT / "examples").iterdir() if path.is_dir())


def test_an_incomplete_problem_is_refused_before_anything_is_touched(repository: Path) -> None:
    theirs = repository / "theirs"
    shutil.copytree(EXAMPLES[0], theirs)
    (theirs / "model.py").unlink()
    with pytest.raises(Failure, match=r"theirs is no problem: it has no model\.py; docs/how-to/new-problem\.md says"):
        adopt.run(theirs)


def test_uncommitted_work_is_not_run_over(repository: Path) -> None:
    Path("dvc.lock").write_text("mine")
    with pytest.raises(Failure, match="there are uncommitted changes, and adopt removes files"):
        adopt.run(EXAMPLES[0])
    assert Path("dvc.lock").read_text() == "mine"


def test_a_source_that_refuses_leaves_all_as_it_was(repository: Path, capfd: pytest.CaptureFixture) -> None:
    """And a second try needs no clean-up: the first one leaves no changes."""
    shutil.copytree(made.ROOT / "src", repository / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(made.ROOT / "params.yaml", repository)
    (repository / "data").mkdir()
    theirs = shutil.copytree(EXAMPLES[0], repository / ".cache" / "theirs")
    text = (theirs / "params.yaml").read_text()
    made.commit("The template")
    for spoilt, says in (
        ("until: nothing", "there is no period nothing"),
        ("til: x", "fetch.til is unknown; did you mean fetch.until?"),
    ):
        (theirs / "params.yaml").write_text(re.sub(r"until: .*", spoilt, text))
        with pytest.raises(Failure, match="theirs gives no data yet, so nothing was changed; fix it"):
            adopt.run(theirs)
        assert says in capfd.readouterr().err
        assert made.git("status", "--porcelain") == ""
        assert Path("data").is_dir()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_what_the_former_problem_left_goes_and_the_new_files_are_there(example: Path, repository: Path) -> None:
    adopt.PROBLEM.mkdir(parents=True)
    tests = Path("tests/problem/small.py"), Path("tests/unit/problem/test_old.py")
    for path in (*tests, Path("data/old.parquet"), Path("reports/metrics.json"), Path("dvc.lock")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    adopt.place(example)
    assert not [path for path in (*adopt.LEFT, *tests) if path.exists()]
    assert sorted(path.name for path in adopt.PROBLEM.iterdir()) == sorted(ownership.PROBLEM_MODULES)
    assert Path("params.yaml").read_text() == (example / "params.yaml").read_text()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_only_what_differs_from_the_defaults(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One threshold stands in one place. The sections of the stages are there all the same: DVC asks for them."""
    tree = yaml.safe_load((example / "params.yaml").read_text())
    stages = yaml.safe_load((made.ROOT / "dvc.yaml").read_text())["stages"]
    assert tree.keys() >= {name for stage in stages.values() for name in stage["params"]}
    spec = importlib.util.spec_from_file_location(f"model_of_{example.name}", example / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    train, theirs = params.effective({}, module.Train), tree.pop("train")
    assert theirs.keys() <= train.keys()
    assert not [name for name, value in theirs.items() if train[name] == value]
    usual = flat(params.effective({}))
    given = flat(params.effective(tree))
    written = {name: value for name, value in flat(tree).items() if value != {}}
    assert written.items() <= given.items()
    assert not [name for name, value in written.items() if usual.get(name) == value]
