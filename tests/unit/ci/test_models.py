"""Which models of a repository a change concerns."""

from pathlib import Path

import made
import pytest

from delivery.adapters import git
from delivery.ci import models

BOTH = ["models/diabetes", "models/digits"]


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        (["models/digits/params.yaml"], ["models/digits"]),
        (["models/digits/src/problem/model.py", "README.md"], ["models/digits"]),
        (["models/digits/src/problem/model.py", "models/diabetes/dvc.lock"], BOTH),
        (["README.md", "docs/page.md"], []),
        (["models/README.md", "models/digits-old/params.yaml"], []),
        ([".github/workflows/ci.yml"], BOTH),  # the pin of the machinery
        (["src/delivery/pipeline/train.py"], BOTH),  # the machinery itself, where it lies beside them
        ([], []),
    ],
)
def test_a_model_is_concerned_by_its_own_files_and_by_what_all_share(changed: list[str], concerned: list[str]) -> None:
    assert models.concerned(BOTH, changed) == concerned


def test_a_model_within_the_folder_of_another_is_its_own() -> None:
    assert models.concerned([".", "models/digits"], ["models/digits/params.yaml"]) == ["models/digits"]
    assert models.concerned([".", "models/digits"], ["params.yaml"]) == ["."]


def test_a_folder_is_known_by_its_pipeline_and_a_branch_by_where_it_left(repository: Path, capsys) -> None:
    for name in BOTH:
        Path(name).mkdir(parents=True)
        Path(name, "dvc.yaml").write_text("stages: {}\n")
    made.commit("Two models")
    made.git("checkout", "--quiet", "-b", "tuned")
    Path("models/digits/params.yaml").write_text("train: {}\n")
    made.commit("Tuned")
    made.git("checkout", "--quiet", "main")
    Path("models/diabetes/params.yaml").write_text("train: {}\n")
    made.commit("Somebody else's")
    made.git("checkout", "--quiet", "tuned")
    models.main(_options("main"))
    assert "1 of 2 models concerned: models/digits" in capsys.readouterr().out
    models.main(_options("0" * 40))  # the first push of a branch
    assert "2 of 2 models concerned" in capsys.readouterr().out


def test_a_model_whose_folder_has_an_accent_is_concerned_too(repository: Path, capsys) -> None:
    folder = Path("models/größe und preis")
    folder.mkdir(parents=True)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    made.commit("A model")
    (folder / "params.yaml").write_text("train: {}\n")
    made.commit("Tuned")
    models.main(_options("HEAD~1"))
    assert "1 of 1 models concerned: models/größe und preis" in capsys.readouterr().out


def test_what_is_in_a_folder_has_names_of_its_own(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from delivery.adapters import store

    assert (git.suffix(), store.branch()) == ("", "store")
    folder = Path("models/digits")
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text("a: 1\n")
    made.commit("A model")
    monkeypatch.chdir(folder)
    assert (git.suffix(), store.branch()) == ("-models-digits", "store-models-digits")
    assert git.show("HEAD", "params.yaml") == "a: 1"


def _options(base: str):
    import argparse

    return argparse.Namespace(base=base)
