"""What a store writer exchanges is seen, because a tag in git says what was promoted; what has no tag is not refused."""

import json
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import git, git_tags
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.deploy import artifacts
from delivery.registry import integrity, register, registry, release, stored
from delivery.registry.version import Lineage, Version, lineage_tags

pytestmark = pytest.mark.xdist_group("registry")
IMAGE = "ghcr.io/a/b@sha256:feed"


@pytest.fixture
def promoted(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Version 1 of a project with a remote, in staging, registered with an image and recorded in git."""
    made.remote(tmp_path_factory.mktemp("hub"))
    register.run("staging", IMAGE)
    version = registry.find("1")
    assert integrity.record(version, release.current(), files.digest(workspace.EXPORT), IMAGE) == ""
    return version


def exchange(version: Version) -> Version:
    """Another model with other examples takes the version's place in the store, with digests that agree."""
    kept = stored.folder(version.source)
    (kept / "export" / "examples.json").write_text("[]")
    with (kept / "export" / "model.onnx").open("ab") as model:
        model.write(b"0")
    forged = Lineage(release=release.digest(kept), digest=files.digest(kept / "export"))
    registry.tag(version.number, lineage_tags(forged))
    exchanged = registry.find(version.number)
    stored.refuse_changed(exchanged, kept)  # the registry agrees with the files
    return exchanged


def test_the_record_is_a_tag_of_the_commit_named_after_the_release(promoted: Version) -> None:
    name = f"model-1-{promoted.release[:12]}"
    assert integrity.find(promoted) == integrity.Finding("recorded", f"recorded in the tag {name}")
    texts, stale = git_tags.read("model-")
    assert json.loads(texts[name]) == {
        "version": "1", "release": promoted.release, "model": promoted.digest, "image": IMAGE, "attested": True,
    }  # fmt: skip
    assert stale == ""
    registry.download(promoted, Path("here"))
    artifacts.download(promoted)
    assert integrity.record(promoted, promoted.release, promoted.digest, IMAGE) == "", "once is enough"
    assert integrity.examine(promoted).state == "recorded"


def test_model_examples_and_digests_exchanged_together_are_refused_before_anything_starts(promoted: Version) -> None:
    exchanged = exchange(promoted)
    said = (
        f"the tag model-1-{promoted.release[:12]} records version 1 with the release {promoted.release[:12]}, the registry "
        f"has {exchanged.release[:12]}; restore the store"
    )
    for download in (lambda: registry.download(exchanged, Path("here")), lambda: artifacts.download(exchanged)):
        with pytest.raises(Failure, match=said):
            download()
    with pytest.raises(Failure, match=said):
        integrity.record(exchanged, exchanged.release, exchanged.digest, IMAGE)
    assert len(git_tags.read("model-")[0]) == 1


@pytest.mark.parametrize("field", ["release", "digest", "image"])
def test_each_part_of_a_record_is_compared(field: str, promoted: Version) -> None:
    registry.tag("1", lineage_tags(Lineage(**{field: "sha256:0ther"})))
    finding = integrity.find(registry.find("1"))
    assert finding.state == "different"
    part = {"digest": "model"}.get(field, field)
    assert f"records version 1 with the {part} " in finding.text


def test_status_and_audit_say_it_and_fail(promoted: Version, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    assert f"Version 1 of staging is recorded in the tag model-1-{promoted.release[:12]}." in capsys.readouterr().out
    assert main(["audit"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("| ✅ |")
    exchange(promoted)
    assert main(["status"]) == 1
    assert "| ❌ the tag model-1-" in capsys.readouterr().out
    assert main(["status", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert "the tag model-1-" in row["trouble"]
    assert "the tag model-1-" in row["record"]
    assert main(["audit"]) == 1
    *_, line, _, below = capsys.readouterr().out.splitlines()
    assert line.endswith("| ❌ |")
    assert below.startswith("❌ the tag model-1-")
    assert main(["audit", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["record"]["state"] == "different"


def test_files_that_differ_from_the_registry_are_seen_without_a_download(promoted: Version, capsys) -> None:
    kept = stored.folder(promoted.source)
    (kept / "export" / "examples.json").write_text("[]")
    said = "the files of version 1 are not those that were registered; restore the store"
    assert integrity.find(promoted).state == "recorded"
    assert integrity.examine(promoted) == integrity.Finding("different", said)
    assert main(["status"]) == 1
    assert f"❌ {said}" in capsys.readouterr().out


def test_a_version_without_a_record_is_named_and_not_refused(ready: Path, capsys) -> None:
    """A laptop without a remote."""
    register.run("staging")
    version = registry.find("1")
    assert integrity.record(version, version.release, version.digest, "") == ""
    assert integrity.find(version) == integrity.Finding("not recorded", "not recorded in git (there is no remote)")
    registry.download(version, Path("here"))
    assert main(["status"]) == 0
    assert "Version 1 of staging is not recorded in git (there is no remote)." in capsys.readouterr().out
    assert main(["audit"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("| no |")


def test_a_newer_version_without_a_record_is_conspicuous(promoted: Version) -> None:
    made.git("commit", "--quiet", "--allow-empty", "--message", "Later")
    text = Path("Dockerfile").read_text()
    Path("Dockerfile").write_text(text + "# another\n")
    made.commit("Another image")
    register.run("staging")
    second = registry.find("2")
    said = "not recorded in git (although an older version is)"
    assert integrity.find(second) == integrity.Finding("not recorded", said)
    registry.download(second, Path("here"))
    older = registry.find("1")
    assert integrity.find(older).state == "recorded"


def test_a_tag_that_is_no_record_counts_for_nothing(promoted: Version) -> None:
    for name, text in {"model-1-note": "a person's", "model-1-list": "[]", "model-1-x": '{"version": "x"}'}.items():
        git_tags.create(name, git.head() or "", text)
    assert integrity.find(promoted).state == "recorded"


def test_a_second_record_of_a_number_is_refused_until_a_person_deletes_one(promoted: Version) -> None:
    """Such as of a registry that was created again, or by somebody who may make tags and not change them."""
    other = {"version": "1", "release": "0" * 64, "model": "0" * 64}
    git_tags.create("model-1-000000000000", git.head() or "", json.dumps(other))
    with pytest.raises(
        Failure, match="the tag model-1-000000000000 records version 1 .*or delete the tag on the remote"
    ):
        registry.download(promoted, Path("here"))
    made.git("push", "--quiet", "origin", ":refs/tags/model-1-000000000000")
    git_tags._asked.clear()
    registry.download(promoted, Path("here"))


def test_a_record_that_git_does_not_take_is_told_and_stops_nothing(ready: Path, tmp_path_factory) -> None:
    register.run("staging")
    version = registry.find("1")
    made.git("remote", "add", "origin", str(tmp_path_factory.mktemp("hub") / "nowhere.git"))
    said = integrity.record(version, version.release, version.digest, "")
    assert said.startswith(
        f"Version 1 is not recorded in git: the tag model-1-{version.release[:12]} could not be pushed: "
    )
    assert integrity.find(version).state == "not recorded"
    assert "(fatal: " in integrity.find(version).text
    registry.download(version, Path("here"))
    made.git("init", "--quiet", "--bare", made.git("remote", "get-url", "origin").strip())
    assert integrity.record(version, version.release, version.digest, "") == ""
    assert integrity.find(version).state == "recorded"


def test_status_names_a_rollback_that_would_be_refused(promoted: Version, capsys: pytest.CaptureFixture[str]) -> None:
    Path("Dockerfile").write_text(Path("Dockerfile").read_text() + "# another\n")
    made.commit("Another image")
    register.run("staging")
    assert main(["status"]) == 0
    assert "Rollback of staging to version 1: not proven" in capsys.readouterr().out
    exchange(promoted)
    assert main(["status"]) == 0, "what serves is in order"
    assert "Rollback of staging to version 1: ❌ would be refused: the tag model-1-" in capsys.readouterr().out


def test_registering_by_hand_records_what_it_pushes(ready: Path, tmp_path_factory, capsys) -> None:
    bare = made.remote(tmp_path_factory.mktemp("hub"))
    assert main(["register", "--push"]) == 0
    assert capsys.readouterr().err == ""
    version = registry.find("1")
    assert integrity.find(version).state == "recorded"
    assert made.git("rev-parse", f"model-1-{version.release[:12]}^{{commit}}", cwd=bare).strip() == git.head()
