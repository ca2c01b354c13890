"""Each stage run by its verb in a folder that holds nothing but what the stages before it have left."""

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from sample import once

from delivery.__main__ import main
from delivery.core.files import digest

IGNORED = (".cache", ".dvc", ".git")


class Stage(NamedTuple):
    """What a stage made: digests of the files that are new or changed, as paths from the project's root."""

    code: int
    made: dict[str, str]


def snapshot(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: digest(path) for name, path in named.items() if not name.startswith(IGNORED)}


@pytest.fixture(scope="session")
def stages(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """Every stage, run one after the other from data/ alone."""
    folder = once(tmp_path_factory, "stages", lambda folder: run_all(committed, folder))
    return {name: Stage(*found) for name, found in json.loads((folder / "found.json").read_text()).items()}


def run_all(committed: Path, folder: Path) -> None:
    project, home = folder / "project", Path.cwd()
    shutil.copytree(committed / "data", project / "data")
    shutil.copy(committed / "params.yaml", project)
    before, found = snapshot(project), {}
    os.chdir(project)
    try:
        for stage in yaml.safe_load((committed / "dvc.yaml").read_text())["stages"]:
            code, after = main([stage]), snapshot(project)
            assert before.keys() <= after.keys()
            found[stage] = Stage(code, {name: after[name] for name in after if after[name] != before.get(name)})
            before = after
    finally:
        os.chdir(home)
    (folder / "found.json").write_text(json.dumps(found))
