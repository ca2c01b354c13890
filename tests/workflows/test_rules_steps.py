"""What a job does: which commands, when one is left out, and what may not stand in a step."""

import json
import re
import subprocess
from pathlib import Path

from dotgithub import JOBS, SETUP, WORKFLOWS, job, lines, steps
from harness import expressions
from harness.gitserver import environment, git
from harness.template import ROOT

from delivery.ci import refresh

# A list of packages from the day that the machine was made names files that are gone by now.
HAPROXY = "command -v haproxy || { sudo apt-get update --quiet && sudo apt-get install --yes --no-install-recommends haproxy; }"
# What each job does, command by command: a step that is passed over is missed here.
STEPS = {
    ("alert.yml", "alert"): ['alert "$WORKFLOW"'],
    ("batch.yml", "batch"): ['batch --period "$PERIOD" --model "$MODEL" --push'],
    ("bump.yml", "bump"): ['bump --days "$DAYS" --propose "$CHECKS"'],
    ("_ci.yml", "check"): [
        'scope --base "$BASE" "$PUSHED" --number "$NUMBER" --sha "$SHA" --suites "$SUITES" '
        '--problem-suites "$PROBLEM_SUITES" --model-suites "$MODEL_SUITES" --machinery-model-suites "$MACHINERY_MODEL_SUITES"',
        'make check BASE="$BASE"',
    ],
    ("_ci.yml", "test"): [
        HAPROXY,
        'suite "$SUITE"',
    ],
    ("_ci.yml", "runner"): [],
    ("_ci.yml", "report"): [
        "reproduce --locked",
        'review --base "$BASE" --number "$NUMBER" "$PUSHES"',
        'suite "$SUITES"',
    ],
    ("_ci.yml", "image"): ["rehearse --image delivery:ci --contract"],
    ("_ci.yml", "required"): ["jq 'map_values(.result)' <<< \"$NEEDS\" && exit 1"],
    ("_ci.yml", "push"): ['results push .cache/results --branch "$BRANCH" --of "$OF" --number "$NUMBER" "$CHECKS"'],
    ("_ci.yml", "comment"): ['comment start --run "$GITHUB_RUN_ID" --branch "$GITHUB_REF_NAME"'],
    ("command.yml", "command"): ["command"],
    ("_comment.yml", "comment"): ['comment post .cache/review --run "$RUN"'],
    ("compact.yml", "compact"): ["compact"],
    ("deploy.yml", "deploy"): [
        'deploy "$VERSION" "$ENVIRONMENT" --canary "$CANARY" --shadow "$SHADOW" --anyway "$ANYWAY"',
        'status "$ENVIRONMENT"',
    ],
    ("doctor.yml", "doctor"): ["doctor --issue"],
    ("drift.yml", "drift"): [
        "reproduce --locked",
        'drift --period "$PERIOD" --served "$SERVED" --push',
        'retrain "$CHECKS"',
    ],
    ("drill.yml", "drill"): ['drill "$ENVIRONMENT" --issue'],
    ("pages.yml", "build"): ["make docs"],
    ("pages.yml", "publish"): [],
    ("_promote.yml", "measure"): ['promote measure --branch "$GITHUB_REF_NAME"'],
    ("_promote.yml", "image"): [
        'echo "name=ghcr.io/${GITHUB_REPOSITORY,,}${SUFFIX,,}" >> "$GITHUB_OUTPUT"',
        'scan --sbom "$SBOM" --grype "$GRYPE"',
    ],
    ("_promote.yml", "apply"): [
        'promote apply --branch "$GITHUB_REF_NAME" --image "$IMAGE" --attestation "$ATTESTATION"'
    ],
    ("refresh.yml", "refresh"): ['refresh --branch "$GITHUB_REF_NAME"'],
    ("remake.yml", "due"): ['echo "key=remade-$KEY" >> "$GITHUB_OUTPUT"'],
    ("remake.yml", "remake"): [
        "reproduce --locked --remake --minutes 300",
        "mkdir -p .cache/remade && cp dvc.lock .cache/remade",
    ],
    ("rollback.yml", "unblock"): ['unblock "$ENVIRONMENT" --job rollback'],
    ("rollback.yml", "rollback"): [
        'rollback "$ENVIRONMENT" --to "$TO" --reason "$REASON" --anyway "$ANYWAY"',
        'status "$ENVIRONMENT"',
    ],
    ("scan.yml", "scan"): ['scan --serving --issue --grype "$GRYPE"'],
    ("tag.yml", "tag"): [
        """tag="v$(sed -n 's/^version = "\\(.*\\)"$/\\1/p' pyproject.toml)"
grep --quiet "^## \\[${tag#v}\\] - " CHANGELOG.md || { echo "::error::CHANGELOG.md has no heading for ${tag#v}"; exit 1; }
git rev-parse --quiet --verify "refs/tags/$tag" || """
        """gh api --silent "repos/$GITHUB_REPOSITORY/git/refs" -f ref="refs/tags/$tag" -f sha="$GITHUB_SHA\"""",
    ],
}
# Steps that are left out at times, by what they use or run; what fails a job stays unconditional.
MAYBE = {
    ("_ci.yml", "check"): {"review${{ steps.scope.outputs.suffix }}": "steps.scope.outputs.concern == 'documentation'",
                          'make check BASE="$BASE"': "inputs.directory == '.'"},
    ("_ci.yml", "test"): {HAPROXY: "matrix.suite == 'deploy'"},
    ("_ci.yml", "report"): {"delivery reproduce --locked": "github.event_name == 'push'",
                           "review": "github.event_name != 'push'",
                           "review${{ steps.review.outputs.suffix }}": "${{ !cancelled() && github.event_name != 'push' }}",
                           "results${{ steps.review.outputs.suffix }}": "${{ !cancelled() && steps.review.outputs.stale == 'true' }}",
                           "model${{ steps.review.outputs.suffix }}": "needs.check.outputs.image == 'true'"},
    ("_promote.yml", "measure"): {"measured${{ steps.measure.outputs.suffix }}": "steps.measure.outputs.delivers == 'true'"},
    ("_ci.yml", "push"): {"app": "vars.APP_CLIENT_ID != ''"},
    ("bump.yml", "bump"): {"app": "vars.APP_CLIENT_ID != ''"},
    ("compact.yml", "compact"): {"app": "vars.APP_CLIENT_ID != ''"},
    ("drift.yml", "drift"): {"app": "vars.APP_CLIENT_ID != ''"},
}  # fmt: skip
# What each job asks of its set-up, but for the model's folder: what is checked out, what is installed, whether the store is.
PIPELINE: dict = {}
TRUSTED_CACHE = "${{ !startsWith(github.ref_name, 'results/pull-') && !startsWith(github.ref_name, 'dependabot') }}"
SETUPS = {
    ("alert.yml", "alert"): {"ref": "${{ github.event.repository.default_branch }}", "store": "false"},
    ("batch.yml", "batch"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("bump.yml", "bump"): {"ref": "${{ github.event.repository.default_branch }}", "store": "false"},
    ("_ci.yml", "check"): {"fetch-depth": 0, "requirements": "dev", "store": "false"},
    ("_ci.yml", "test"): {
        "requirements": "${{ (matrix.suite == 'scale' || matrix.suite == 'workflows') && 'dev scale' || 'dev' }}",
        "store": "false",
    },
    ("_ci.yml", "report"): {
        "ref": "${{ github.event.pull_request.head.sha || github.sha }}",
        "fetch-depth": 0,
        "requirements": "dev",
    },
    ("_ci.yml", "image"): {"ref": "${{ github.event.pull_request.head.sha || github.sha }}", "store": "false"},
    ("_ci.yml", "push"): {"ref": "${{ github.event.repository.default_branch }}", "cache": TRUSTED_CACHE},
    ("_ci.yml", "comment"): {
        "ref": "${{ github.event.repository.default_branch }}",
        "store": "false",
        "cache": TRUSTED_CACHE,
    },
    ("command.yml", "command"): {
        "ref": "${{ github.event.repository.default_branch }}",
        "fetch-depth": 0,
        "store": "false",
    },
    ("_comment.yml", "comment"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("compact.yml", "compact"): {"ref": "${{ github.event.repository.default_branch }}", "fetch-depth": 0},
    ("deploy.yml", "deploy"): PIPELINE,
    ("doctor.yml", "doctor"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("drift.yml", "drift"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("drill.yml", "drill"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("pages.yml", "build"): {"requirements": "dev", "store": "false"},
    ("_promote.yml", "measure"): {"fetch-depth": 0},
    ("_promote.yml", "image"): {"store": "false"},
    ("_promote.yml", "apply"): {"fetch-depth": 0},
    ("refresh.yml", "refresh"): {"fetch-depth": 0, "store": "false"},
    ("remake.yml", "due"): {"ref": "${{ github.event.repository.default_branch }}", "requirements": ""},
    ("remake.yml", "remake"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("rollback.yml", "unblock"): {"store": "false"},
    ("rollback.yml", "rollback"): PIPELINE,
    ("scan.yml", "scan"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("tag.yml", "tag"): {"fetch-depth": 0, "requirements": ""},
}


def test_every_job_begins_with_its_set_up():
    found = {}
    for key in JOBS:
        setups = [step for step in job(*key)["steps"] if step.get("uses") == SETUP]
        if setups:
            assert setups == job(*key)["steps"][:1], key
            found[key] = {name: value for name, value in setups[0].get("with", {}).items() if name != "directory"}
    assert found == SETUPS


def test_every_job_runs_these_steps():
    found = {key: [step["run"].strip() for step in job(*key)["steps"] if "run" in step] for key in JOBS}
    verb = "delivery "
    assert {key: [line.removeprefix(verb) for line in lines] for key, lines in found.items()} == STEPS


def test_what_delivers_is_told_whether_the_image_is_attested_and_whether_the_plan_has_lost_that():
    told = {
        where: {name: step["env"].get(name) for name in ("ATTESTATION", "ATTESTATIONS")}
        for where, step in steps()
        if any(verb in step.get("run", "") for verb in ("promote apply", "delivery deploy"))
    }
    lost = "${{ vars.ATTESTATIONS }}"
    assert told == {
        "_promote.yml: apply": {"ATTESTATION": "${{ needs.image.outputs.attestation }}", "ATTESTATIONS": lost},
        "deploy.yml: deploy": {"ATTESTATION": None, "ATTESTATIONS": lost},
    }


def test_ci_runs_every_folder_of_tests():
    """Those that need the model are listed apart from those that need none."""
    inputs = job("ci.yml", "ci").get("with", {})
    names = ("suites", "model-suites", "machinery-model-suites")
    listed = [suite for name in names for suite in json.loads(inputs[name]) if "/" not in suite]
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(listed) == sorted(folders)
    # A change of the problem's code alone runs its tests; those in `scale` need a set of requirements of their own.
    known = [path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").glob("*/problem")]
    assert set(json.loads(inputs["problem-suites"])) == {
        path
        for path in known
        if path.partition("/")[0] in json.loads(inputs["suites"]) and not path.startswith("scale/")
    }


def test_steps_are_left_out_for_these_reasons_only():
    found: dict = {}
    for file, name in JOBS:
        for step in job(file, name)["steps"]:
            if "if" in step:
                what = step.get("id") or step.get("run") or step["with"]["name"]
                found.setdefault((file, name), {})[what] = step["if"]
    assert found == MAYBE


def test_steps_are_short_and_no_expression_reaches_a_shell():
    for where, step in steps():
        assert step.get("run", "").strip().count("\n") < 3, where
        assert "${{" not in step.get("run", ""), where
        assert len(re.findall(r"\bdelivery [a-z]", step.get("run", ""))) <= 1, f"{where}: one verb a step"


def test_only_what_may_be_missing_may_fail_in_silence_and_it_says_why():
    lenient = [(where, step) for where, step in steps() if "continue-on-error" in step]
    # test_faults.py sees the summary name what is missing; test_plans.py that a public repository fails without an attestation
    assert {where for where, _ in lenient} == {"cml/action.yml", "_promote.yml: image"}
    (attest,) = [step for where, step in lenient if where == "_promote.yml: image"]
    assert attest["continue-on-error"] == "${{ github.event.repository.private }}"
    assert not [key for key in JOBS if "continue-on-error" in job(*key)]
    said = [line for line in lines() if "continue-on-error" in line]
    assert len(said) == len(lenient)
    assert all(" # " in line for line in said)


def test_what_a_model_in_a_folder_needs_is_said_everywhere():
    """A job of a workflow that others call works in the model's folder, and so do its set-up and what it hands over."""
    for file in (file for file, doc in WORKFLOWS.items() if "directory" in str(doc["on"].get("workflow_call"))):
        for name, about in WORKFLOWS[file]["jobs"].items():
            verbs = [step for step in about["steps"] if "delivery" in step.get("run", "")]
            where = {"run": {"working-directory": "${{ inputs.directory }}"}}
            assert about.get("defaults") == where or not verbs, (file, name)
            for step in about["steps"]:
                if "setup" in (uses := step.get("uses", "")) and "$/" in uses:
                    assert "directory" in step["with"], (file, name)
                if "artifact@" in uses:
                    paths = step["with"].get("path", "").split("\n")
                    assert all(path.startswith("${{ inputs.directory }}") for path in paths if path), (
                        file,
                        name,
                    )
                    assert "suffix" in step["with"]["name"], (file, name)


def test_artifacts_are_kept_as_long_as_they_are_needed():
    """30 days for what is small, or waits for reviewers: so long can a run be started again and wait
    (docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs). 5 days for a pull request's models:
    each hour of a megabyte counts, also after it was deleted
    (docs.github.com/en/billing/concepts/product-billing/github-actions).
    """
    uploads = [(where, step["with"]) for where, step in steps() if "/upload-artifact@" in step.get("uses", "")]
    kept = sorted((where, given["name"].partition("$")[0], given.get("retention-days")) for where, given in uploads)
    assert kept == [
        ("_ci.yml: check", "review", 30),
        ("_ci.yml: report", "model", 5),
        ("_ci.yml: report", "results", 5),
        ("_ci.yml: report", "review", 30),
        ("_promote.yml: measure", "measured", 30),
        ("batch.yml: batch", "predictions", 30),
    ]


def test_the_whole_history_comes_without_that_of_the_stores(tmp_path: Path):
    """And with checkout's own token, which git is given for this step only."""
    (fetch,) = [step for where, step in steps() if where == "setup/action.yml" and "git fetch" in step.get("run", "")]
    (checkout,) = [
        step for where, step in steps() if where == "setup/action.yml" and "checkout@" in step.get("uses", "")
    ]
    assert checkout["with"]["fetch-depth"] == "${{ inputs.fetch-depth == '0' && '1' || inputs.fetch-depth }}"
    assert fetch["if"] == "inputs.fetch-depth == '0'"
    assert fetch["env"].pop("GITHUB_TOKEN") == "${{ github.token }}"

    origin, job = tmp_path / "origin", tmp_path / "job"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", origin)
    for message in ("First", "Second"):
        git(origin, "commit", "--quiet", "--allow-empty", "--message", message)
    git(origin, "tag", "v1", "HEAD~1")
    for branch in ("develop", "feature/store", "store", "store-models-digits"):
        git(origin, "branch", branch)
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{origin}", job)
    for _ in range(2):  # the second time in a repository that is complete already
        command = ["bash", "-e", "-c", fetch["run"]]
        subprocess.run(command, cwd=job, env=environment() | fetch["env"], check=True, capture_output=True)
    found = git(job, "for-each-ref", "--format=%(refname)", "refs/remotes", "refs/tags").splitlines()
    assert set(found) - {"refs/remotes/origin/HEAD"} == {
        "refs/remotes/origin/main", "refs/remotes/origin/develop", "refs/remotes/origin/feature/store", "refs/tags/v1",
    }  # fmt: skip
    assert git(job, "rev-list", "--count", "HEAD") == "2"
    filled = subprocess.run(
        ["git", "credential", "fill"], input="protocol=https\nhost=github.com\n\n", text=True, check=True,
        env=environment() | fetch["env"] | {"GITHUB_TOKEN": "ghs_1"}, capture_output=True,
    )  # fmt: skip
    assert {"username=x-access-token", "password=ghs_1"} <= set(filled.stdout.splitlines())


def test_an_environment_is_kept_for_one_folder_interpreter_kind_of_runner_and_lock():
    """It holds absolute paths. `make setup` looks for itself (tests/unit/test_makefile.py), so it is always asked."""
    found = {
        step["with"]["key"]: step
        for where, step in steps()
        if where == "setup/action.yml" and "cache@" in step.get("uses", "")
    }
    (key,) = [key for key in found if key.startswith("venv-")]
    for part in ("inputs.requirements", "runner.environment", "runner.os", "runner.arch", "steps.python.outputs.python-path",
                 "github.workspace", "inputs.directory", "/requirements/*.txt", "/pyproject.toml", "/.dvc/config"):  # fmt: skip
        assert part in key
    assert "restore-keys" not in found[key]["with"]
    (install,) = [
        step for where, step in steps() if where == "setup/action.yml" and "make setup" in step.get("run", "")
    ]
    assert install["if"] == "inputs.requirements != ''"
    assert found[key]["if"] == f"{install['if']} && inputs.cache == 'true'"


def test_a_job_that_writes_takes_no_cache_that_a_strangers_code_may_have_filled():
    """A run's caches are those of its branch, which every job of the run may fill and read: docs.github.com/en/actions/
    reference/workflows-and-actions/dependency-caching#restrictions-for-accessing-a-cache."""
    caches = [
        step for where, step in steps() if where == "setup/action.yml" and "actions/cache@" in step.get("uses", "")
    ]
    assert len(caches) == 2
    assert all(step["if"].endswith(" && inputs.cache == 'true'") for step in caches)
    for name in ("push", "comment"):
        (setup,) = [step for step in job("_ci.yml", name)["steps"] if step.get("uses") == SETUP]
        for branch, used in {refresh.branch_of_results(7): False, "dependabot/pip/x": False, "tuned": True}.items():
            assert expressions.filled(setup["with"]["cache"], {"github": {"ref_name": branch}}) is used
