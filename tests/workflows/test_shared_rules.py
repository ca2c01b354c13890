"""Rules for what other repositories copy: the callers of docs/callers, and the machine of docs/runners."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from harness import callers, rules
from harness.template import ROOT

EXAMPLES = ROOT / "docs" / "callers"
FILES = sorted(EXAMPLES.glob("*/.github/workflows/*.yml"))
MACHINE = ROOT / "docs" / "runners" / "aws.yml"
OWN = {path.name: rules.load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
CALL = re.compile(r"OWNER/MACHINERY/\.github/(workflows|actions)/([\w.]+)@0{40}")


def name(path: Path) -> str:
    return path.relative_to(EXAMPLES).as_posix()


def calling(path: Path) -> dict[str, tuple[dict, dict]]:
    """Each job that calls, and the workflow here that it calls."""
    jobs = rules.load(path.read_text())["jobs"]
    return {key: (job, OWN[CALL.fullmatch(job["uses"])[2]]) for key, job in jobs.items() if "uses" in job}  # type: ignore[index]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_caller_says_when_and_with_what_rights_and_one_commit(path):
    document = rules.load(path.read_text())
    assert document["permissions"] == {}
    assert document["name"] == path.stem  # `workflow_run` and dispatches go by these names
    (only,) = calling(path).values()
    job, theirs = only
    assert theirs["name"] == f"_{path.stem}"
    assert job["permissions"] == callers.needed(
        theirs
    )  # less, and GitHub refuses the run; more, and a called job could have it
    assert not callers.inputs_refused(document, next(iter(calling(path))), theirs)
    assert ("secrets" in job) == ("secrets" in theirs["on"]["workflow_call"])
    pins = re.findall(r"uses: (\S+)@(\S+)", path.read_text())
    assert all(CALL.fullmatch(f"{where}@{pin}") for where, pin in pins if where.startswith("OWNER"))
    for line in path.read_text().splitlines():
        assert not re.match(r"^      [a-z-]+: (read|write)$", line), f"{line}: a right says why"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_caller_does_what_the_workflow_of_the_same_name_does_here(path):
    """But for the commit it names, its own list of suites and branches, and the matrix over several models."""
    own, ours = rules.load(path.read_text()), OWN[path.name]
    caller = path.stem
    if "branches" in (own["on"].get("push") or {}):
        own["on"]["push"]["branches"] = ours["on"]["push"]["branches"]
    if "several" in path.parts and path.stem in ("promote", "ci"):
        assert own["jobs"][caller].pop("strategy")["matrix"] == {
            "directory": "${{ fromJSON(needs.models.outputs.models) }}"
        }
        assert own["jobs"][caller].pop("needs") == "models"
        assert own["jobs"][caller].pop("if") == "needs.models.outputs.models != '[]'"
        assert own["jobs"][caller]["with"].pop("directory") == "${{ matrix.directory }}"
        own["jobs"] = {caller: {key: value for key, value in own["jobs"][caller].items() if value}}
        if path.stem == "ci":  # a label starts nothing there: the required check of a skipped run would count as passed
            assert own["on"].pop("pull_request") == {"types": ["opened", "synchronize", "reopened", "edited"]}
            own["on"]["pull_request"] = ours["on"]["pull_request"]
            assert own["concurrency"].pop("group") == (
                "ci-${{ github.event.pull_request.number || inputs.results && inputs.number || github.ref }}"
            )
            own["concurrency"]["group"] = ours["concurrency"]["group"]
            own["jobs"][caller]["if"] = ours["jobs"][caller]["if"]
        if path.stem == "promote":  # a push that was left out might have changed another model
            assert own["concurrency"].pop("queue") == "max"
    own["jobs"][caller]["uses"] = ours["jobs"][caller]["uses"]
    if path.stem == "ci":
        suites = {key: value for key, value in ours["jobs"]["ci"]["with"].items() if "suites" in key}
        assert not suites.keys() & own["jobs"]["ci"]["with"].keys()
        own["jobs"]["ci"]["with"] |= suites
    assert own == ours


def test_every_workflow_that_can_be_called_has_a_caller():
    shared = {file.removeprefix("_") for file, document in OWN.items() if "workflow_call" in document["on"]}
    assert {path.name for path in FILES if "one" in path.parts} == shared
    assert {path.name for path in FILES if "several" in path.parts} == shared


@pytest.mark.parametrize("which", ["one", "several"])
def test_callers_protect_the_records_of_versions_as_the_template_does(which):
    text = (ROOT / ".github" / "rulesets" / "model-tags.json").read_text()
    assert (EXAMPLES / which / ".github" / "rulesets" / "model-tags.json").read_text() == text
    rule = json.loads(text)
    assert rule["target"] == "tag"
    assert rule["conditions"]["ref_name"]["include"] == ["refs/tags/model-*"]
    assert {kind["type"] for kind in rule["rules"]} == {"deletion", "non_fast_forward", "update"}


@pytest.mark.parametrize("which", ["one", "several"])
def test_callers_protect_the_store_as_the_template_does(which):
    text = (ROOT / ".github" / "rulesets" / "store.json").read_text()
    assert (EXAMPLES / which / ".github" / "rulesets" / "store.json").read_text() == text
    rule = json.loads(text)
    assert (rule["target"], rule["enforcement"]) == ("branch", "active")
    assert rule["conditions"]["ref_name"]["include"] == ["refs/heads/store", "refs/heads/store-*"]
    # Not `update`: GITHUB_TOKEN cannot be a bypass actor, so the workflows themselves could not write.
    assert {kind["type"] for kind in rule["rules"]} == {"deletion", "non_fast_forward"}


@pytest.mark.parametrize("file", ["main.json", "main-solo.json"])
@pytest.mark.parametrize("which", ["one", "several"])
def test_protection_asks_for_checks_that_exist(which, file):
    rule = json.loads((EXAMPLES / which / ".github" / "rulesets" / file).read_text())
    ours = json.loads((ROOT / ".github" / "rulesets" / file).read_text())
    asked = {kind["type"]: kind for kind in rule["rules"]}
    wanted = [check["context"] for check in asked["required_status_checks"]["parameters"]["required_status_checks"]]
    known = set()
    for path in (path for path in FILES if which in path.parts):
        document = rules.load(path.read_text())
        known |= {job["name"] for job in document["jobs"].values() if "name" in job}
        known |= {f"{key} / {job}" for key, (_, theirs) in calling(path).items() for job in theirs["jobs"]}
    assert set(wanted) <= known
    assert which == "several" or rule == ours  # a repository of one model asks for the same as the machinery
    assert [kind["type"] for kind in rule["rules"]] == [kind["type"] for kind in ours["rules"]]


def test_linters_find_nothing():
    program = Path(sys.executable).parent
    path = {"PATH": f"{program}:/usr/bin:/bin", "HOME": "/nonexistent", "NO_COLOR": "1"}
    files = [*map(str, FILES), str(MACHINE)]
    for command in (["actionlint"], ["zizmor", "--offline", "--persona", "auditor", "--strict-collection", "--quiet"]):
        words = [str(program / command[0]), *command[1:], *files]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env=path)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_laid_is_ignored_and_what_is_owned_is_not():
    """`make lay` and the .gitignore of a model's folder are two halves of one list."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    laid = re.search(r"(?m)^LAID := (.*)$", makefile)[1].split()  # type: ignore[index]
    owned = ["params.yaml", "dvc.yaml", "dvc.lock", "data.dvc", "src/problem/model.py", "tests/problem/test_x.py",
             "reports/metrics.json", ".dvc/config", ".github/workflows/ci.yml"]  # fmt: skip
    command = ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "--stdin"]
    folder = EXAMPLES / "model"
    theirs = [name if (ROOT / name).is_file() else f"{name}/file" for name in laid if name not in owned]
    asked = [*theirs, *owned, ".venv", ".store", ".cache/a", "data", "artifacts/a", "reports/plots", "reports/gate.md"]
    done = subprocess.run(command, cwd=folder, input="\n".join(asked), capture_output=True, text=True, check=False)
    assert set(done.stdout.splitlines()) == set(asked) - set(owned)


def test_a_launched_machine_is_for_own_pull_requests_and_always_given_back():
    document = rules.load(MACHINE.read_text())
    launch, end = document["jobs"]["launch"], document["jobs"]["end"]
    runner = OWN["_ci.yml"]["jobs"]["runner"]["if"]
    for part in ("pull_request.head.repo.full_name == github.repository", "github.actor != 'dependabot[bot]'"):
        assert part in launch["if"]
        assert part in runner
    command = launch["steps"][-1]["run"]
    for option in ("--single", "--idle-timeout=600", "--labels=gpu", '--cloud-metadata="report=$HEAD"'):
        assert option in command
    assert end["if"].startswith("always() && ")
    assert "terminate-instances" in end["steps"][-1]["run"]
    assert '"Name=tag:report,Values=$HEAD"' in end["steps"][-1]["run"]
    assert document["on"]["workflow_run"] == {"workflows": ["ci"], "types": ["completed"]}
    assert not [step for job in (launch, end) for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert yaml.safe_load(MACHINE.read_text())["permissions"] == {}
