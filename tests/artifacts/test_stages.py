"""Each stage makes what dvc.yaml says it makes: no more, no less, the same bytes every time."""

import json
from pathlib import Path

import pytest
import sample
import yaml

from delivery.core.files import digest

DVC = yaml.safe_load((sample.ROOT / "dvc.yaml").read_text())["stages"]


def declared(stage: str) -> set[str]:
    listed = DVC[stage].get("outs", []) + DVC[stage].get("metrics", [])
    return {name for out in listed for name in ([out] if isinstance(out, str) else out)}


@pytest.mark.parametrize("stage", DVC)
def test_a_stage_makes_exactly_what_it_declares(stage: str, stages) -> None:
    assert stages[stage].code == 0
    places = {
        out: [name for name in stages[stage].made if name == out or name.startswith(f"{out}/")]
        for out in declared(stage)
    }
    assert all(places.values()), "something that is declared was not made"
    assert set().union(*places.values()) == stages[stage].made.keys(), "something was made that is not declared"


@pytest.mark.parametrize("stage", DVC)
def test_a_stage_gives_the_same_bytes_in_another_process_and_folder(stage: str, stages, committed: Path) -> None:
    assert {name: digest(committed / name) for name in stages[stage].made} == stages[stage].made


def test_a_second_reproduction_does_nothing(project: Path) -> None:
    assert "Data and pipelines are up to date." in sample.repro(project).stdout
    assert not sample.git(project, "status", "--porcelain")


def test_a_changed_module_is_done_again_with_what_depends_on_it_and_nothing_else(project: Path) -> None:
    module = project / "src" / "delivery" / "pipeline" / "plots.py"
    module.write_text(module.read_text() + "# a remark\n")
    said = sample.repro(project).stdout
    assert [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")] == ["evaluate"]
    made = ("dvc.lock", "data.dvc", "reports")  # of git's files what the pipeline makes; the module may not be git's
    assert sample.git(project, "status", "--porcelain", "--", *made).split() == ["M", "dvc.lock"]


def test_nothing_that_is_kept_names_a_machine_or_a_person(committed: Path) -> None:
    import getpass
    import platform

    kept = [committed / "dvc.lock", *(committed / "reports").glob("*.json"), *(committed / "artifacts").rglob("*.json")]
    for path in kept:
        text = path.read_text()
        for word in (str(committed), str(Path.home()), f"{getpass.getuser()}@", platform.node()):
            assert word not in text, path


def test_the_records_of_a_run_say_when_how_long_and_with_what(committed: Path) -> None:
    for stage in DVC:
        record = json.loads((committed / ".cache" / "records" / f"{stage}.json").read_text())
        assert record["stage"] == stage
        assert record["seconds"] > 0
        assert {"started", "executor", "python", "libraries"} <= record.keys()
        assert all(record["libraries"].values())
