"""What a release is: any part that decides an answer makes another one, and nothing else does."""

import re
import shutil
from pathlib import Path

import made
import pytest

from delivery.adapters import git
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.registry import interface, register, registry, release
from delivery.registry.version import Lineage

pytestmark = pytest.mark.xdist_group("registry")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    files.write(path, text.replace(old, new, 1))


def test_the_bundle_holds_what_the_image_holds_and_nothing_else(project: Path) -> None:
    release.collect(workspace.EXPORT, Path("bundle"))
    written = {path.relative_to("bundle").as_posix() for path in Path("bundle").rglob("*") if path.is_file()}
    allowed = re.findall(r"^!(src/\S+)$", (made.ROOT / ".dockerignore").read_text(), re.MULTILINE)
    tracked = set(made.git("ls-files", "--", *allowed, cwd=made.ROOT).splitlines())
    assert {name for name in written if name.startswith("src/")} >= tracked
    assert {name.split("/")[0] for name in written} == {
        "src",
        "requirements.txt",
        "params.yaml",
        "Dockerfile",
        "openapi.json",
    }
    assert not [name for name in written if "pycache" in name]
    assert params.serving(Path("bundle/params.yaml")) == params.load().serve


def test_the_same_parts_are_the_same_release_wherever_they_are(project: Path) -> None:
    first = release.current()
    Path("README.md").write_text("# Another text\n")
    edit(Path("params.yaml"), "# What this team decides", "# Another comment")
    made.commit("Words")
    assert release.current() == first


def test_another_model_alone_is_nothing_that_clients_see(project: Path) -> None:
    """The document's version is the model's digest."""
    with release.made() as before:
        shutil.copytree(before, "before")
    described = release.document(Path("before"))
    described["info"]["version"] = "0" * 12
    shutil.copytree("before", "now")
    files.write_json(Path("now") / release.BUNDLE / release.DOCUMENT, described, exact=True)
    files.write(Path("now") / release.EXPORTED / "note.txt", "another model")
    assert release.changes(Path("before"), Path("now")) == "model"


@pytest.mark.parametrize("part", ["model", "settings", "lock", "Dockerfile"])
def test_each_part_makes_another_release(part: str, project: Path) -> None:
    with release.made() as before:
        shutil.copytree(before, "before")
        first = release.digest(before)
    if part == "model":
        (workspace.EXPORT / "examples.json").write_text("[]")
    elif part == "settings":
        tree = params.tree(Path("params.yaml").read_text())
        tree["serve"] = {**(tree.get("serve") or {}), "max_rows": 7}
        files.write_json(Path("params.yaml"), tree, exact=True)  # JSON is YAML
    elif part == "lock":
        edit(Path("requirements/serve.txt"), "numpy==", "numpy==9.")
    else:
        edit(Path("Dockerfile"), "FROM scratch", "FROM scratch AS served")
    with release.made() as now:
        assert release.digest(now) != first
        told = release.changes(Path("before"), now)
    version = re.findall(r"^numpy==(\S+)", (made.ROOT / "requirements/serve.txt").read_text(), re.MULTILINE)[0]
    assert (
        told
        == {
            "model": "model",
            "settings": "model unchanged; settings of the service; what clients see",
            "lock": f"model unchanged; numpy {version} -> 9.{version}",
            "Dockerfile": "model unchanged; Dockerfile",
        }[part]
    )


def test_changed_code_is_named(project: Path) -> None:
    for name in ("one", "two"):
        release.collect(workspace.EXPORT, Path(name) / release.BUNDLE)
        shutil.copytree(workspace.EXPORT, Path(name) / release.EXPORTED)
    assert release.digest(Path("one")) == release.digest(Path("two"))
    assert release.changes(Path("one"), Path("two")) == "nothing"
    for name in ("problem/features.py", "problem/schema.py", "delivery/service/app.py", "delivery/core/files.py"):
        edit(Path("two/release/src") / name, '"""', '"""Now: ')
    lock = Path("two/release/requirements.txt")
    edit(lock, "numpy==", "numpy==9.")
    edit(lock, "uvicorn==", "uvicorn==9.")
    assert release.digest(Path("one")) != release.digest(Path("two"))
    assert release.changes(Path("one"), Path("two")) == (
        "model unchanged; files.py, app.py, features.py and 1 more; 2 libraries"
    )


def test_a_model_that_scikit_learn_serves_has_its_lock(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "describe", lambda *_: {})  # only the manifest says that it is such a model
    manifest = files.read_json(workspace.EXPORT / "manifest.json", "run") | {"runtime": "sklearn"}
    files.write_json(workspace.EXPORT / "manifest.json", manifest, exact=True)
    release.collect(workspace.EXPORT, Path("bundle"))
    assert Path("bundle/requirements.txt").read_text() == Path("requirements/sklearn.txt").read_text()
    Path("requirements/sklearn.txt").unlink()
    with pytest.raises(
        Failure, match=r"^requirements/sklearn\.txt is missing, the libraries that serve the model; `make lock`"
    ):
        release.collect(workspace.EXPORT, Path("other"))


def test_the_same_model_with_another_schema_is_another_version(ready: Path) -> None:
    first = register.run(image="ghcr.io/a/b@sha256:1")
    again = register.run(image="ghcr.io/a/b@sha256:2")
    assert (again.version, again.new) == (first.version, False)
    assert registry.find("1").image == "ghcr.io/a/b@sha256:1", "a release keeps the image that was measured"
    edit(Path("Dockerfile"), "FROM scratch", "FROM scratch AS served")
    made.commit("Another image")
    second = register.run(image="ghcr.io/a/b@sha256:2")
    assert (second.version, second.new, second.digest) == ("2", True, first.digest)
    version = registry.find("2")
    assert version.changes == "since version 1: model unchanged; Dockerfile"
    assert version.image == "ghcr.io/a/b@sha256:2"
    folder = registry.download(version, Path("here"))
    assert release.digest(folder) == version.release
    assert "/predict" in release.document(folder)["paths"]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("src/problem/features.py", '"""', '"""Swapped: '), (release.DOCUMENT, '"/predict"', '"/other"')],
    ids=["code", "document"],
)
def test_a_bundle_that_was_swapped_in_the_store_is_refused(name: str, old: str, new: str, ready: Path) -> None:
    register.run()
    version = registry.find("1")
    registry.download(version, Path("here"))
    (kept,) = workspace.REGISTRY_ARTIFACTS.rglob(f"release/{name}")
    edit(kept, old, new)
    with pytest.raises(Failure, match="the files of version 1 are not those that were registered; restore the store"):
        registry.download(version, Path("here"))


def test_a_version_whose_document_was_kept_outside_of_its_bundle_stays_valid(
    project: Path, empty_registry: None
) -> None:
    files.write_json(Path("older/openapi.json"), {"paths": {"/predict": {}}}, exact=True)
    shutil.copytree(workspace.EXPORT, "older/export")
    release.collect(workspace.EXPORT, Path("older/release"))
    Path("older/release", release.DOCUMENT).unlink()
    lineage = Lineage(release=release.digest(Path("older")), digest=files.digest(workspace.EXPORT))
    registry.add(Path("older"), lineage, {})
    folder = registry.download(registry.find("1"), Path("here"))
    assert release.document(folder) == {"paths": {"/predict": {}}}
    with release.made() as now:
        assert release.changes(folder, now) == "nothing", "that the document moved is no change for clients"
    (folder / "openapi.json").unlink()
    assert release.document(folder) is None


def test_the_bundle_of_an_older_version_comes_from_its_commit(project: Path) -> None:
    for name in release.SERVED:
        release._copy(made.ROOT / release.PACKAGE / name, Path(release.PACKAGE) / name)
    release._copy(made.ROOT / release.PROBLEM, Path(release.PROBLEM))
    commit = made.commit("Code")
    edit(Path(release.PROBLEM) / "features.py", '"""', '"""Later: ')
    made.commit("Later")
    release.of_commit(commit, workspace.EXPORT, Path("bundle"))
    assert "Later: " not in Path("bundle/src/problem/features.py").read_text()
    assert Path("bundle/src/delivery/service/app.py").exists()
    assert Path("bundle/requirements.txt").read_text() == Path("requirements/serve.txt").read_text()
    assert params.serving(Path("bundle/params.yaml")) == params.load().serve
    with pytest.raises(Failure, match="c0ffee is not a commit of this repository"):
        release.of_commit("c0ffee", workspace.EXPORT, Path("other"))
    assert git.head() != commit
