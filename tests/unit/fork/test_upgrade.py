"""A fork that replaced the problem takes the template's later changes without a conflict in what it owns."""

from pathlib import Path

import made
import pytest
import yaml

from delivery.core import ownership
from delivery.core.errors import Failure
from delivery.fork import upgrade

PARAMS = "fetch:\n  until: a\n\ntrain:\n  model: trees\n  rate: 0.1\n\ngate:\n  margin: 0.1\n  size: 20\n"


@pytest.fixture
def fork(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Template and fork side by side, the fork with another problem; the fork is the current folder."""
    template = folder / "template"
    for name in (
        "src/problem/model.py",
        "src/delivery/decision/gate.py",
        "tests/unit/problem/test_old.py",
        "dvc.lock",
        "data.dvc",
    ):
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_text("the template's\n")
    (template / "params.yaml").write_text(PARAMS)
    (template / "reports").mkdir()
    (template / "reports" / "metrics.json").write_text("{}\n")
    made.git("init", "--quiet", "--initial-branch", "main", cwd=template)
    made.commit("The template", cwd=template)
    made.git("clone", "--quiet", "--origin", "upstream", str(template), str(folder / "fork"))
    monkeypatch.chdir(folder / "fork")
    for name in ("src/problem/model.py", "dvc.lock", "data.dvc", "reports/metrics.json"):
        Path(name).write_text("the fork's\n")
    made.git("rm", "--quiet", "-r", "tests/unit/problem")
    Path("params.yaml").write_text(PARAMS.replace("until: a", "until: b").replace("model: trees\n  rate: 0.1", "C: 1"))
    made.commit("Our problem")
    return template


def theirs(template: Path, **files: str) -> None:
    for name, text in files.items():
        path = template / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    made.commit("Later", cwd=template)


def test_what_a_fork_owns_stays_and_the_machinery_arrives(fork: Path) -> None:
    owned = ("src/problem/model.py", "dvc.lock", "data.dvc", "reports/metrics.json")
    sample = dict.fromkeys(
        (*owned, "tests/unit/problem/test_old.py", "tests/problem/test_new.py"), "the template's new\n"
    )
    params = PARAMS.replace("until: a", "until: c").replace("rate: 0.1", "rate: 0.2") + "  latency: 3\n"
    theirs(fork, **sample, **{"src/delivery/decision/gate.py": "new machinery\n", "params.yaml": params})
    assert upgrade.run("upstream", "main").startswith("upgrade: merged ")
    assert {Path(name).read_text() for name in owned} == {"the fork's\n"}
    assert not list(Path("tests").rglob("problem"))
    assert Path("src/delivery/decision/gate.py").read_text() == "new machinery\n"
    assert yaml.safe_load(Path("params.yaml").read_text()) == {
        "fetch": {"until": "b"},
        "train": {"C": 1},
        "gate": {"margin": 0.1, "size": 20, "latency": 3},
    }
    assert made.git("status", "--porcelain") == ""
    assert upgrade.run("upstream", "main") == "upgrade: nothing new"


def begun_anew(template: Path) -> None:
    """What `Use this template` makes: the same files, and none of the template's commits."""
    made.git("checkout", "--quiet", "--orphan", "own", "upstream/main")
    made.commit("Initial commit")
    Path("src/problem/model.py").write_text("the fork's\n")
    made.commit("Our problem")
    theirs(template, **{"src/problem/model.py": "new\n", "src/delivery/decision/gate.py": "new machinery\n"})


def test_a_file_of_the_fork_may_have_an_accent_in_its_name(fork: Path) -> None:
    names = ("tests/problem/test_größe.py", "tests/problem/test_preis je m².py")
    Path("tests/problem").mkdir(parents=True)
    Path(names[0]).write_text("the fork's\n")
    made.commit("Our tests")
    theirs(fork, **dict.fromkeys(names, "the template's\n"))
    assert upgrade.run("upstream", "main").startswith("upgrade: merged ")
    assert Path(names[0]).read_text() == "the fork's\n"
    assert not Path(names[1]).exists()


def test_an_upgrade_says_what_it_brings(fork: Path) -> None:
    first = "# Changelog\n\n## [0.1.0] - 2026-01-01\n\n### Added\n- The first thing.\n"
    theirs(fork, **{"CHANGELOG.md": first})
    assert upgrade.run("upstream", "main").startswith(
        "## [0.1.0] - 2026-01-01\n\n### Added\n- The first thing.\n\nupgrade: "
    )
    theirs(fork, **{"CHANGELOG.md": first.replace("## [0.1.0]", "## [0.2.0] - 2026-02-02\n\n- A fix.\n\n## [0.1.0]")})
    said = upgrade.run("upstream", "main")
    assert said.startswith("## [0.2.0] - 2026-02-02\n\n- A fix.\n\nupgrade: merged ")
    assert "first thing" not in said


def squashed(start: str) -> None:
    """Merge the current branch into `start` as GitHub does by "Squash and merge", and stand on the result."""
    tree = made.git("rev-parse", "HEAD^{tree}")
    made.git("reset", "--quiet", "--hard", made.git("commit-tree", tree, "-p", start, "-m", "Upgrade (#7)"))


@pytest.mark.parametrize("joined", [False, True], ids=["fork", "copy"])
def test_upgrades_merged_by_squash_go_on_merging(fork: Path, joined: bool) -> None:
    """Also in a repository that began without the template's history, and with a change of the fork's own."""
    lines = ["one", "two", "three", "four", "five", "six"]
    theirs(fork, **{"src/delivery/decision/gate.py": "\n".join(lines) + "\n"})
    if joined:
        made.git("fetch", "--quiet", "upstream")
        begun_anew(fork)
        theirs(fork, **{"src/delivery/decision/gate.py": "\n".join(lines) + "\n"})
    for number, line in ((0, "a"), (1, "b"), (0, "c")):
        start = made.git("rev-parse", "HEAD")
        lines[number] = line
        theirs(fork, **{"src/delivery/decision/gate.py": "\n".join(lines) + "\n", "dvc.lock": line})
        assert upgrade.run("upstream", "main").startswith("upgrade: merged ")
        squashed(start)
        gate = Path("src/delivery/decision/gate.py")
        assert gate.read_text().replace("mine", "six") == "\n".join(lines) + "\n"
        assert Path("src/problem/model.py").read_text() == "the fork's\n"
        assert upgrade.run("upstream", "main") == "upgrade: nothing new"
        assert made.git("rev-list", "--count", "HEAD", f"^{start}") == "1"
        gate.write_text(gate.read_text().replace("six", "mine"))
        made.commit("Our own last line")


def test_a_conflict_after_a_squash_leaves_the_branch_as_it_was(fork: Path) -> None:
    theirs(fork, **{"src/delivery/decision/gate.py": "first\n"})
    start = made.git("rev-parse", "HEAD")
    upgrade.run("upstream", "main")
    squashed(start)
    Path("src/delivery/decision/gate.py").write_text("mine\n")
    mine = made.commit("Our own gate")
    theirs(fork, **{"src/delivery/decision/gate.py": "second\n"})
    with pytest.raises(Failure, match=r"changed here and in the template: src/delivery/decision/gate\.py"):
        upgrade.run("upstream", "main")
    assert made.git("rev-parse", "HEAD") == mine
    assert made.git("status", "--porcelain") == ""


@pytest.mark.parametrize("text", ["", "--help", "a" * 40])
def test_a_record_that_names_no_commit_of_the_template_is_ignored(fork: Path, text: str) -> None:
    Path(".template").write_text(text)
    made.commit("A record")
    theirs(fork, **{"src/delivery/decision/gate.py": "new machinery\n"})
    assert upgrade.run("upstream", "main").startswith("upgrade: merged ")
    assert Path(".template").read_text().strip() == made.git("rev-parse", "HEAD^2")


def test_a_copy_without_the_template_s_history_is_joined_to_it(fork: Path) -> None:
    begun_anew(fork)
    assert upgrade.run("upstream", "main").startswith("upgrade: merged ")
    assert Path("src/problem/model.py").read_text() == "the fork's\n"
    assert Path("src/delivery/decision/gate.py").read_text() == "new machinery\n"
    assert upgrade.run("upstream", "main") == "upgrade: nothing new"


def test_a_copy_of_no_known_commit_is_told_how_to_join(fork: Path) -> None:
    begun_anew(fork)
    other = made.git("commit-tree", "-m", "Another beginning", "HEAD^{tree}")
    made.git("reset", "--quiet", "--hard", other.strip())
    with pytest.raises(Failure, match="no commit in common with the template; once: `git merge --strategy ours"):
        upgrade.run("upstream", "main")
    assert made.git("rev-parse", "HEAD") == other
    assert made.git("status", "--porcelain") == ""


def test_a_new_key_beside_a_line_of_ours_does_not_arrive_and_asks_for_nothing(fork: Path) -> None:
    """It has a default."""
    theirs(fork, **{"params.yaml": PARAMS.replace("until: a\n", "until: a\n  since: z\n")})
    assert upgrade.run("upstream", "main").endswith(
        "; now `make run`, commit what it changes, push a branch and open a pull request"
    )
    assert "since" not in Path("params.yaml").read_text()


def test_the_section_of_a_new_stage_is_added_and_all_else_stays(fork: Path) -> None:
    """Without the section DVC would not run the stage, whatever defaults its keys have."""
    mine = Path("params.yaml").read_text()
    stages = "stages:\n  tidy:\n    params: [fetch, tidy, train.C]\n  other:\n    cmd: none\n"
    theirs(fork, **{"dvc.yaml": stages})
    upgrade.run("upstream", "main")
    assert Path("params.yaml").read_text() == mine + "tidy: {}\n"
    assert made.git("status", "--porcelain") == ""
    assert "params.yaml" in made.git("show", "--name-only", "--format=", "HEAD")


def test_a_plain_merge_would_have_asked(fork: Path) -> None:
    """What GitHub's `Sync fork` would do: there the test above has something to prevent."""
    theirs(fork, **{"src/problem/model.py": "new\n", "tests/unit/problem/test_old.py": "new\n"})
    made.git("fetch", "--quiet", "upstream")
    with pytest.raises(made.subprocess.CalledProcessError):
        made.git("merge", "upstream/main")


def test_machinery_that_a_fork_has_changed_is_named_and_nothing_is_done(fork: Path) -> None:
    Path("src/delivery/decision/gate.py").write_text("mine\n")
    mine = made.commit("Our own gate")
    theirs(fork, **{"src/delivery/decision/gate.py": "theirs\n", "dvc.lock": "new\n"})
    with pytest.raises(
        Failure, match=r"changed here and in the template: src/delivery/decision/gate\.py; merge these by hand"
    ):
        upgrade.run("upstream", "main")
    assert made.git("rev-parse", "HEAD") == mine
    assert made.git("status", "--porcelain") == ""
    assert Path("src/delivery/decision/gate.py").read_text() == "mine\n"


def test_uncommitted_work_is_not_merged_over(fork: Path) -> None:
    Path("dvc.lock").write_text("mine\n")
    with pytest.raises(Failure, match="there are uncommitted changes"):
        upgrade.run("upstream", "main")


def test_the_marks_name_the_same_paths() -> None:
    """GitHub itself cannot be asked here; that it reads these two files is its word."""
    marks = (made.ROOT / ".gitattributes").read_text().splitlines()
    assert [line.split()[0] for line in marks if line.endswith(" merge=ours")] == list(ownership.FORK)
    owners = [
        line.split()[0] for line in (made.ROOT / ".github" / "CODEOWNERS").read_text().splitlines() if line[:1] == "/"
    ]
    assert {f"/{path}" for path in ownership.FORK} | {f"/{ownership.SHARED}"} <= set(owners)
    assert {f"src/problem/{name}" for name in ownership.PROBLEM_MODULES} <= set(ownership.FORK)
