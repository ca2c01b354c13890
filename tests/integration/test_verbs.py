"""The command line: every verb explains itself, and what decides or lists something prints JSON when asked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sample

from delivery.__main__ import MODULES, ROOMS, main

TEXTS = {verb: text for room in ROOMS for verb, text in room.verbs.items()}


def test_make_help_lists_the_targets_and_every_verb() -> None:
    command = ["make", "--no-print-directory", "help", f"BIN={Path(sys.executable).parent}"]
    said = subprocess.run(command, cwd=sample.ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "run", "serve", "test", "check", "drift"):
        assert f"\n{target} " in f"\n{said}"
    for verb, text in TEXTS.items():
        assert f"\n  {verb} " in said
        assert " ".join(text.split()[:3]) in " ".join(said.split())


@pytest.mark.parametrize("verb", MODULES)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert TEXTS[verb][1:] in " ".join(capsys.readouterr().out.split())


def test_an_unknown_verb_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["traing"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: there is no verb traing; did you mean train?\n"


def test_an_abbreviated_option_is_refused(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["search", "--propos"])
    assert stopped.value.code == 2
    assert "unrecognized arguments: --propos" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["compare", "--base", "1"], {"against", "commit", "comparison", "reason"}),
        (["gate"], {"against", "model", "rules", "verdict"}),
        (["lineage", "staging"], {"version", "aliases", "tags", "metrics", "artifacts"}),
        (["register"], {"version", "new", "alias", "digest"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_json_is_all_that_is_printed_when_it_is_asked_for(words: list[str], names: set[str], registered, here) -> None:
    code, out, _ = here(registered, *words, "--json")
    assert code == 0
    assert names <= json.loads(out).keys()


def test_drift_prints_json_when_it_is_asked_for(registered: Path) -> None:
    found = json.loads(sample.run(registered, "drift", "--json").stdout)
    assert {"month", "verdict", "retrain", "why"} <= found.keys()
    assert found["month"] == "2013-05", "the last one that was judged"


def test_a_model_against_itself_differs_by_nothing(registered: Path, here) -> None:
    code, out, _ = here(registered, "compare", "--base", "staging", "--json")
    found = json.loads(out)
    assert (code, found["against"]) == (0, "version 1")
    for row in found["comparison"]["metrics"]:
        assert (row["difference"], row["low"], row["high"], row["verdict"]) == (0, 0, 0, "within noise")
