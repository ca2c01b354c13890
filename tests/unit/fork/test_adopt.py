"""Another problem is taken whole or not at all, and never over work that git does not hold."""

import re
import shutil
from pathlib import Path

import made
import pytest
import yaml

from delivery.core.errors import Failure
from delivery.fork import adopt

EXAMPLES = sorted(path for path in (made.ROOT / "examples").iterdir() if path.is_dir())


def test_an_incomplete_problem_is_refused_before_anything_is_touched(repository: Path) -> None:
    theirs = repository / "theirs"
    shutil.copytree(EXAMPLES[0], theirs)
    (theirs / "model.py").unlink()
    with pytest.raises(Failure, match=r"theirs is no problem: it has no model\.py; docs/new-problem\.md says"):
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
    params = (theirs / "params.yaml").read_text()
    made.commit("The template")
    for spoilt, says in (("until: nothing", "there is no period nothing"), ("til: x", "unknown field `til`")):
        (theirs / "params.yaml").write_text(re.sub(r"until: .*", spoilt, params))
        with pytest.raises(Failure, match="theirs gives no data yet, so nothing was changed; mend it"):
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
    assert sorted(path.name for path in adopt.PROBLEM.iterdir()) == sorted(adopt.MODULES)
    assert Path("params.yaml").read_text() == (example / "params.yaml").read_text()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_parameters_of_the_examples_are_those_of_today(example: Path) -> None:
    """A key that is new in params.yaml goes into theirs too: what is the problem's own is left out here."""
    ours, theirs = (yaml.safe_load((place / "params.yaml").read_text()) for place in (made.ROOT, example))
    for own in ("train", "card"):
        assert ours.pop(own)
        assert theirs.pop(own)
    assert {name: set(section) for name, section in theirs.items()} == {name: set(of) for name, of in ours.items()}
