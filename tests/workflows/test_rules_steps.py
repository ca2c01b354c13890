"""What a job does: which commands, when one is left out, and what may not stand in a step."""

from dotgithub import JOBS, WORKFLOWS, job, lines, steps

# What each job does, command by command: a step that is passed over is missed here.
STEPS = {
    ("batch.yml", "batch"): ['batch --month "$MONTH" --model "$MODEL" --push'],
    ("ci.yml", "lint"): ["make check"],
    ("ci.yml", "test"): [
        "command -v haproxy || sudo apt-get install --yes --no-install-recommends haproxy",
        "make scale",
        'suite "$SUITE"',
    ],
    ("ci.yml", "model"): ["reproduce", 'suite "$SUITE"'],
    ("ci.yml", "image"): ["reproduce", "rehearse --image delivery:ci --contract"],
    ("ci.yml", "required"): ["test \"$RESULTS\" = 'success success success success'"],
    ("comment.yml", "comment"): ['comment post .cache/review --run "$RUN"'],
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
    ("promote.yml", "measure"): ['promote measure --branch "$GITHUB_REF_NAME"'],
    ("promote.yml", "image"): ['echo "name=ghcr.io/${GITHUB_REPOSITORY,,}${SUFFIX,,}" >> "$GITHUB_OUTPUT"'],
    ("promote.yml", "apply"): ['promote apply --branch "$GITHUB_REF_NAME" --image "$IMAGE"'],
    ("report.yml", "place"): [],
    ("report.yml", "report"): ['review --base "$BASE" --number "$NUMBER" "$PUSHES"'],
    ("report.yml", "push"): ['results push .cache/results --branch "$BRANCH" --of "$OF" --number "$NUMBER" "$CHECKS"'],
    ("report.yml", "tell"): ['comment start --run "$GITHUB_RUN_ID"'],
    ("rollback.yml", "rollback"): [
        'rollback "$ENVIRONMENT" --to "$TO" --reason "$REASON"',
        'status "$ENVIRONMENT"',
    ],
}
# Steps that are left out at times, by what they use or run; what fails a job stays unconditional.
MAYBE = {
    ("ci.yml", "test"): {"command -v haproxy || sudo apt-get install --yes --no-install-recommends haproxy": "matrix.suite == 'deploy'",
                         "make scale": "matrix.suite == 'scale'"},
    ("report.yml", "report"): {"review${{ steps.review.outputs.suffix }}": "${{ !cancelled() }}",
                               "results${{ steps.review.outputs.suffix }}": "${{ !cancelled() && steps.review.outputs.stale == 'true' }}"},
    ("report.yml", "push"): {"app": "vars.APP_CLIENT_ID != ''"},
    ("drift.yml", "drift"): {"app": "vars.APP_CLIENT_ID != ''"},
}  # fmt: skip


def test_every_job_runs_these_steps():
    found = {key: [step["run"].strip() for step in job(*key)["steps"] if "run" in step] for key in JOBS}
    verb = ".venv/bin/python -m delivery "
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
        assert step.get("run", "").count("python -m delivery") <= 1, f"{where}: one verb a step"


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
            where = {"run": {"working-directory": "${{ inputs.directory || '.' }}"}}
            assert about.get("defaults") == where or not verbs, (file, name)
            for step in about["steps"]:
                if "setup" in (uses := step.get("uses", "")) and "$/" in uses:
                    assert "directory" in step["with"] or (file, name) == ("ci.yml", "lint"), (file, name)
                if "artifact@" in uses:
                    paths = step["with"].get("path", "").split("\n")
                    assert all(path.startswith("${{ inputs.directory || '.' }}") for path in paths if path), (
                        file,
                        name,
                    )
                    assert "suffix" in step["with"]["name"], (file, name)
