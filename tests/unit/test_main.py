"""The command line: one line on stderr and exit 1 for whatever a person can mend; nothing half-written."""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

import made
import pytest

from delivery import __main__ as command
from delivery import run
from delivery.core.errors import Failure


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (Failure("the gate failed; look"), "error: the gate failed; look"),
        (KeyboardInterrupt(), "error: interrupted; run it again to resume, finished work is kept"),
        (OSError(28, "No space left on device"), "error: No space left on device; fix this and run it again"),
        (
            OSError(30, "Read-only file system", "reports"),
            "error: Read-only file system reports; fix this and run it again",
        ),
        (PermissionError(13, "Permission denied", "data"), "error: Permission denied data; fix this and run it again"),
        (
            FileNotFoundError(2, "No such file or directory", "git"),
            "error: No such file or directory git; fix this and run it again",
        ),
    ],
    ids=["refusal", "interrupt", "full", "read-only", "forbidden", "no git"],
)
def test_an_error_is_one_line_and_exit_1(error: BaseException, line: str, monkeypatch, capsys) -> None:
    def broken(options: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(run, "main", broken)
    assert command.main(["run"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_where_it_came_from_is_shown_on_demand(monkeypatch, capsys) -> None:
    def broken(options: argparse.Namespace) -> None:
        raise Failure("look")

    monkeypatch.setattr(run, "main", broken)
    assert command.main(["--traceback", "run"]) == 1
    assert "in broken" in capsys.readouterr().err


def test_a_mistake_of_ours_is_not_hidden(monkeypatch) -> None:
    monkeypatch.setattr(run, "main", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command.main(["run"])


def test_a_parameter_that_is_wrong_stops_a_stage(folder: Path, capsys) -> None:
    text = (made.ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("  seed:", "  sede:"))
    assert command.main(["train"]) == 1
    assert capsys.readouterr().err.startswith("error: params.yaml: train.sede is unknown; did you mean train.seed?")


@pytest.mark.parametrize("words", [[], ["train", "--fast"], ["lineage"]])
def test_what_is_no_command_is_refused_with_the_usage(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(words)
    assert stopped.value.code == 2
    assert "usage: delivery" in capsys.readouterr().err


@pytest.mark.parametrize("verb", command.MODULES)
def test_every_verb_exists_and_has_its_help(verb: str, capsys) -> None:
    module = importlib.import_module(command.MODULES[verb])
    assert hasattr(module, "main") or verb in command.STAGES
    with pytest.raises(SystemExit) as stopped:
        command.main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"usage: delivery {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("drfit", "did you mean drift?"),
        ("role-back", "did you mean rollback?"),
        ("xyz", "`delivery --help` lists them all"),
    ],
)
def test_a_mistyped_verb_is_refused_with_the_nearest_one(typed: str, advice: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main([typed])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"error: there is no verb {typed}; {advice}\n"


def test_the_help_lists_what_people_type_before_what_workflows_call() -> None:
    text = command.overview()
    places = [text.index(f"\n  {verb} ") for verb in ("compare", "deploy", "drift", "new", "validate", "reproduce")]
    assert places == sorted(places)


def test_the_list_of_verbs_needs_no_library() -> None:
    code = "import sys; from delivery.__main__ import parser; parser([]); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_threads_are_pinned_before_numpy_is_there(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setattr(run, "main", lambda _: None)
    assert command.main(["run"]) == 0
    assert os.environ["OMP_NUM_THREADS"] == "1"
