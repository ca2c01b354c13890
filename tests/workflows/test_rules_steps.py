"""What a job does: which commands, when one is left out, and what may not stand in a step."""

import re

from dotgithub import JOBS, SETUP, WORKFLOWS, job, lines, steps

# What each job does, command by command: a step that is passed over is missed here.
STEPS = {
    ("batch.yml", "batch"): ['batch --month "$MONTH" --model "$MODEL" --push'],
    ("_ci.yml", "lint"): ["make check"],
    ("_ci.yml", "test"): [
        "command -v haproxy || sudo apt-get install --yes --no-install-recommends haproxy",
        'suite "$SUITE"',
    ],
    ("_ci.yml", "model"): ["reproduce", 'suite "$SUITE"'],
    ("_ci.yml", "image"): ["reproduce", "rehearse --image delivery:ci --contract"],
    ("_ci.yml", "required"): ['jq --exit-status \'map_values(.result) | ., all(. == "success")\' <<< "$NEEDS"'],
    ("_comment.yml", "comment"): ['comment post .cache/review --run "$RUN"'],
    ("deploy.yml", "deploy"): [
        'deploy "$VERSION" "$ENVIRONMENT" --canary "$CANARY" --shadow "$SHADOW"',
        'status "$ENVIRONMENT"',
    ],
    ("doctor.yml", "doctor"): ["doctor"],
    ("drift.yml", "drift"): [
        "reproduce --locked",
        'drift --month "$MONTH" --served "$SERVED" --push',
        'retrain "$CHECKS"',
    ],
    ("pages.yml", "build"): ["make docs"],
    ("pages.yml", "publish"): [],
    ("_promote.yml", "measure"): ['promote measure --branch "$GITHUB_REF_NAME"'],
    ("_promote.yml", "image"): ['echo "name=ghcr.io/${GITHUB_REPOSITORY,,}${SUFFIX,,}" >> "$GITHUB_OUTPUT"'],
    ("_promote.yml", "apply"): ['promote apply --branch "$GITHUB_REF_NAME" --image "$IMAGE"'],
    ("_report.yml", "runner"): [],
    ("_report.yml", "report"): ['review --base "$BASE" --number "$NUMBER" "$PUSHES"'],
    ("_report.yml", "push"): ['results push .cache/results --branch "$BRANCH" --of "$OF" --number "$NUMBER" "$CHECKS"'],
    ("_report.yml", "comment"): ['comment start --run "$GITHUB_RUN_ID"'],
    ("rollback.yml", "rollback"): [
        'rollback "$ENVIRONMENT" --to "$TO" --reason "$REASON"',
        'status "$ENVIRONMENT"',
    ],
    ("tag.yml", "tag"): [
        """tag="v$(sed -n 's/^version = "\\(.*\\)"$/\\1/p' pyproject.toml)"
grep --quiet "^## \\[${tag#v}\\] - " CHANGELOG.md || { echo "::error::CHANGELOG.md has no heading for ${tag#v}"; exit 1; }
git rev-parse --quiet --verify "refs/tags/$tag" || """
        """gh api --silent "repos/$GITHUB_REPOSITORY/git/refs" -f ref="refs/tags/$tag" -f sha="$GITHUB_SHA\"""",
    ],
}
# Steps that are left out at times, by what they use or run; what fails a job stays unconditional.
MAYBE = {
    ("_ci.yml", "test"): {"command -v haproxy || sudo apt-get install --yes --no-install-recommends haproxy": "matrix.suite == 'deploy'"},
    ("_report.yml", "report"): {"review${{ steps.review.outputs.suffix }}": "${{ !cancelled() }}",
                               "results${{ steps.review.outputs.suffix }}": "${{ !cancelled() && steps.review.outputs.stale == 'true' }}"},
    ("_report.yml", "push"): {"app": "vars.APP_CLIENT_ID != ''"},
    ("drift.yml", "drift"): {"app": "vars.APP_CLIENT_ID != ''"},
}  # fmt: skip
# What each job asks of its set-up, but for the model's folder: what is checked out, what is installed, whether the store is.
PIPELINE: dict = {}
SETUPS = {
    ("batch.yml", "batch"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("_ci.yml", "lint"): {"requirements": "dev", "store": "false"},
    ("_ci.yml", "test"): {"requirements": "${{ matrix.suite == 'scale' && 'dev scale' || 'dev' }}", "store": "false"},
    ("_ci.yml", "model"): {"requirements": "dev"},
    ("_ci.yml", "image"): PIPELINE,
    ("_comment.yml", "comment"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("deploy.yml", "deploy"): PIPELINE,
    ("doctor.yml", "doctor"): PIPELINE,
    ("drift.yml", "drift"): {"ref": "${{ github.event.repository.default_branch }}"},
    ("pages.yml", "build"): {"requirements": "dev", "store": "false"},
    ("_promote.yml", "measure"): PIPELINE,
    ("_promote.yml", "image"): {"requirements": ""},
    ("_promote.yml", "apply"): {"fetch-depth": 0},
    ("_report.yml", "report"): {"ref": "${{ github.event.pull_request.head.sha || github.sha }}", "fetch-depth": 0},
    ("_report.yml", "push"): {"ref": "${{ github.head_ref }}"},
    ("_report.yml", "comment"): {"store": "false"},
    ("rollback.yml", "rollback"): PIPELINE,
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
    assert {where for where, _ in lenient} == {"cml/action.yml"}  # test_faults.py sees the summary name what is missing
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
                    assert "directory" in step["with"] or (file, name) == ("_ci.yml", "lint"), (file, name)
                if "artifact@" in uses:
                    paths = step["with"].get("path", "").split("\n")
                    assert all(path.startswith("${{ inputs.directory }}") for path in paths if path), (
                        file,
                        name,
                    )
                    assert "suffix" in step["with"]["name"], (file, name)


def test_an_environment_is_kept_for_one_folder_interpreter_kind_of_runner_and_lock():
    """It holds absolute paths. `make setup` looks for itself (tests/unit/test_makefile.py), so it is always asked."""
    found = {
        step["with"]["key"]: step
        for where, step in steps()
        if where == "setup/action.yml" and "cache@" in step.get("uses", "")
    }
    (key,) = [key for key in found if key.startswith("venv-")]
    for part in ("inputs.requirements", "runner.environment", "runner.os", "runner.arch", "steps.python.outputs.python-path",
                 "github.workspace", "inputs.directory", "/requirements/*.txt", "/pyproject.toml"):  # fmt: skip
        assert part in key
    assert "restore-keys" not in found[key]["with"]
    (install,) = [
        step for where, step in steps() if where == "setup/action.yml" and "make setup" in step.get("run", "")
    ]
    assert install["if"] == found[key]["if"] == "inputs.requirements != ''"
