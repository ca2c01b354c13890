"""Rules for .github that `act` does not know: rights, pins, queues, limits, and where text from outside may go."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from harness import rules
from harness.template import ROOT

GITHUB = Path(os.environ.get("DELIVERY_GITHUB", ROOT / ".github"))  # mutate.py gives another
FILES = sorted(GITHUB.glob("workflows/*.yml"))
ACTIONS = sorted(GITHUB.glob("actions/*/action.yml"))
WORKFLOWS = {path.name: rules.load(path.read_text()) for path in FILES}
JOBS = [(file, job) for file, document in WORKFLOWS.items() for job in document["jobs"]]

# Every third-party action, at the one commit and version at which it may be used.
PINS = {
    "actions/attest-build-provenance": ("a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32", "v4.1.0"),
    "actions/cache": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/create-github-app-token": ("1b10c78c7865c340bc4f6099eb2f838309f1e8c3", "v3.1.1"),
    "actions/deploy-pages": ("cd2ce8fcbc39b97be8ca5fce6e763baed58fa128", "v5.0.0"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/upload-pages-artifact": ("fc324d3547104276b827a68afc52ff2a11cc49c9", "v5.0.0"),
    "anchore/sbom-action": ("e22c389904149dbc22b58101806040fa8d37a610", "v0.24.0"),
    "docker/build-push-action": ("53b7df96c91f9c12dcc8a07bcb9ccacbed38856a", "v7.3.0"),
    "docker/login-action": ("4907a6ddec9925e35a0a9e82d7399ccc52663121", "v4.1.0"),
    "docker/setup-buildx-action": ("37fe631027851001ddb9b187196cc803df7f5f0e", "v4.3.0"),
}
# What each job may do: less breaks a scenario, more is refused here.
RIGHTS = {
    ("batch.yml", "batch"): {"contents": "write"},
    ("ci.yml", "image"): {"contents": "read"},
    ("ci.yml", "lint"): {"contents": "read"},
    ("ci.yml", "model"): {"contents": "read"},
    ("ci.yml", "required"): {},
    ("ci.yml", "test"): {"contents": "read"},
    ("comment.yml", "comment"): {"actions": "read", "contents": "write", "pull-requests": "write"},
    ("deploy.yml", "deploy"): {"contents": "write", "packages": "read", "attestations": "read", "deployments": "write"},
    ("doctor.yml", "doctor"): {"contents": "read", "actions": "read"},
    ("drift.yml", "drift"): {"contents": "write", "pull-requests": "write", "actions": "write"},
    ("pages.yml", "build"): {"contents": "read"},
    ("pages.yml", "publish"): {"pages": "write", "id-token": "write"},
    ("promote.yml", "apply"): {
        "contents": "write",
        "pull-requests": "read",
        "packages": "read",
        "attestations": "read",
        "deployments": "write",
    },
    ("promote.yml", "image"): {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"},
    ("promote.yml", "measure"): {"contents": "read"},
    ("report.yml", "place"): {"contents": "read"},
    ("report.yml", "push"): {"contents": "write", "actions": "write"},
    ("report.yml", "report"): {"contents": "read"},
    ("report.yml", "tell"): {"contents": "read", "actions": "write"},
    ("rollback.yml", "rollback"): {"contents": "write", "packages": "read", "deployments": "write"},
}
ENVIRONMENTS = {
    ("deploy.yml", "deploy"): "${{ inputs.environment }}",
    ("drift.yml", "drift"): "bot",
    ("pages.yml", "publish"): "github-pages",
    ("promote.yml", "apply"): "${{ needs.measure.outputs.environment }}",
    ("report.yml", "push"): "bot",
    ("rollback.yml", "rollback"): "${{ inputs.environment }}",
}
# What may have to run on the host that it deploys to.
LASTING = {("deploy.yml", "deploy"), ("promote.yml", "apply"), ("rollback.yml", "rollback")}
# What may run elsewhere than on GitHub's machines.
RUNNERS = dict.fromkeys(LASTING, "${{ vars.DEPLOY_RUNNER || 'ubuntu-latest' }}") | {
    (
        "report.yml",
        "report",
    ): """${{ fromJSON(needs.place.result == 'success' && needs.place.outputs.labels || '["ubuntu-latest"]') }}""",
}
# Group of runs of which one runs at a time, and whether a newer one ends it.
QUEUES = {
    ("batch.yml", ""): ("batch", False),
    ("ci.yml", ""): ("ci-${{ github.ref }}${{ inputs.directory }}", "${{ github.event_name == 'pull_request' }}"),
    ("comment.yml", ""): ("comment", False),
    ("deploy.yml", "deploy"): ("registry", False),
    ("doctor.yml", ""): ("doctor", True),
    ("drift.yml", ""): ("drift", False),
    ("pages.yml", ""): ("pages", False),
    ("promote.yml", ""): ("promote-${{ github.ref }}${{ inputs.directory }}", False),
    ("promote.yml", "apply"): ("registry${{ inputs.directory }}", False),
    ("report.yml", ""): ("report-${{ github.event.pull_request.number || github.ref }}${{ inputs.directory }}", True),
    ("rollback.yml", "rollback"): ("registry", False),
}
CONDITIONS = {
    ("ci.yml", "required"): "always()",
    (
        "comment.yml",
        "comment",
    ): "github.event_name == 'workflow_dispatch' || github.event.workflow_run.event == 'pull_request'",
    (
        "report.yml",
        "push",
    ): "${{ !cancelled() && needs.report.outputs.stale == 'true' && github.event_name == 'pull_request' "
    "&& github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]' }}",
    ("report.yml", "place"): "${{ contains(toJSON(github.event.pull_request.labels.*.name), '\"runner:') "
    "&& github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]' }}",
    ("report.yml", "report"): "${{ !cancelled() }}",
    ("report.yml", "tell"): "${{ !cancelled() && github.event_name == 'workflow_dispatch' && inputs.number != 0 }}",
}
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
NEEDS = {
    ("ci.yml", "required"): ["lint", "test", "model", "image"],
    ("pages.yml", "publish"): "build",
    ("promote.yml", "image"): "measure",
    ("promote.yml", "apply"): ["measure", "image"],
    ("report.yml", "report"): "place",
    ("report.yml", "push"): "report",
    ("report.yml", "tell"): "report",
}
TRIGGERS = {
    "batch.yml": {"schedule", "workflow_dispatch"},
    "ci.yml": {"push", "pull_request", "workflow_dispatch", "workflow_call"},
    "comment.yml": {"workflow_run", "workflow_dispatch", "workflow_call"},
    "deploy.yml": {"workflow_dispatch"},
    "doctor.yml": {"push", "workflow_dispatch"},
    "drift.yml": {"schedule", "workflow_dispatch"},
    "pages.yml": {"workflow_dispatch"},
    "promote.yml": {"push", "workflow_dispatch", "workflow_call"},
    "report.yml": {"pull_request", "workflow_dispatch", "workflow_call"},
    "rollback.yml": {"workflow_dispatch"},
}


def job(file: str, name: str) -> dict:
    return WORKFLOWS[file]["jobs"][name]


def steps():
    """Every step, with where it stands."""
    for path in ACTIONS:
        for step in yaml.safe_load(path.read_text())["runs"]["steps"]:
            yield f"{path.parent.name}/action.yml", step
    for file, name in JOBS:
        for step in job(file, name)["steps"]:
            yield f"{file}: {name}", step


def test_nothing_is_allowed_at_the_top_and_each_job_gets_what_it_needs():
    assert all(document["permissions"] == {} for document in WORKFLOWS.values())
    assert {key: job(*key)["permissions"] for key in JOBS} == RIGHTS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_right_says_why(path):
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"^    permissions:\s*$", line):
            granted = [x for x in lines[number + 1 : number + 7] if re.match(r"^      [a-z-]+: (read|write)", x)]
            assert granted
            assert all(" # " in right for right in granted), granted


def test_every_action_is_in_the_table_at_its_commit_with_its_version():
    seen = set()
    for path in [*FILES, *ACTIONS]:
        for line in path.read_text().splitlines():
            if found := re.search(r"uses: (\S+)(.*)", line):
                if found[1].startswith("$/"):
                    assert (GITHUB.parent / found[1].removeprefix("$/") / "action.yml").exists()
                    continue
                name, _, sha = found[1].partition("@")
                assert (sha, found[2].strip().removeprefix("# ")) == PINS[name], line
                seen.add(name)
    assert seen == PINS.keys()
    stand_ins = ROOT / "tests" / "workflows" / "harness" / "actions"
    assert all((stand_ins / name / "action.yml").exists() for name in PINS)


def test_every_job_has_a_name_a_limit_and_a_runner_that_is_known():
    for file, name in JOBS:
        about = job(file, name)
        assert 0 < about["timeout-minutes"] <= 60, (file, name)
        assert about["runs-on"] == RUNNERS.get((file, name), "ubuntu-latest")
        assert about["name"] in (name, "${{ matrix.suite }}")


def test_queues_conditions_environments_and_triggers_are_these():
    queues = {(file, ""): doc["concurrency"] for file, doc in WORKFLOWS.items() if "concurrency" in doc}
    queues |= {key: job(*key)["concurrency"] for key in JOBS if "concurrency" in job(*key)}
    assert {key: (queue["group"], queue["cancel-in-progress"]) for key, queue in queues.items()} == QUEUES
    assert {key: " ".join(job(*key)["if"].split()) for key in JOBS if "if" in job(*key)} == CONDITIONS
    found = {key: job(*key)["environment"] for key in JOBS if "environment" in job(*key)}
    assert {key: about["name"] for key, about in found.items()} == ENVIRONMENTS
    assert all(
        about["deployment"] is False for key, about in found.items() if key[0] != "pages.yml"
    )  # the verbs record them
    assert {file: set(doc["on"]) for file, doc in WORKFLOWS.items()} == TRIGGERS


def test_every_job_runs_these_steps_after_these_jobs():
    found = {key: [step["run"].strip() for step in job(*key)["steps"] if "run" in step] for key in JOBS}
    verb = ".venv/bin/python -m delivery "
    assert {key: [line.removeprefix(verb) for line in lines] for key, lines in found.items()} == STEPS
    assert {key: job(*key)["needs"] for key in JOBS if "needs" in job(*key)} == NEEDS


def test_steps_are_left_out_for_these_reasons_only():
    found: dict = {}
    for file, name in JOBS:
        for step in job(file, name)["steps"]:
            if "if" in step:
                found.setdefault((file, name), {})[step.get("id") or step.get("run") or step["with"]["name"]] = step[
                    "if"
                ]
    assert found == MAYBE


def test_whoever_writes_the_registry_waits_for_the_others():
    writers = ("promote apply", "delivery deploy", "delivery rollback")
    for where, step in steps():
        if any(verb in step.get("run", "") for verb in writers):
            file, _, name = where.partition(": ")
            assert QUEUES[file, name] in (("registry", False), ("registry${{ inputs.directory }}", False))


def test_steps_are_short_and_no_expression_reaches_a_shell():
    for where, step in steps():
        assert step.get("run", "").strip().count("\n") < 3, where
        assert "${{" not in step.get("run", ""), where
        assert step.get("run", "").count("python -m delivery") <= 1, f"{where}: one verb a step"


def test_results_are_pushed_to_whose_branch_may_be_pushed_to():
    """`--pushes` says that the job `push` will: the two must agree, and neither may mean a fork or Dependabot."""
    said = job("report.yml", "report")["env"]["PUSHES"]
    for part in ("pull_request.head.repo.full_name == github.repository", "github.actor != 'dependabot[bot]'"):
        assert part in said
        assert part in CONDITIONS["report.yml", "push"]


def test_own_runners_are_for_pull_requests_of_this_repository_only():
    """The one job that a label may place elsewhere is placed by a job that no fork and no Dependabot sets off."""
    assert {key for key in RUNNERS if "DEPLOY" not in RUNNERS[key]} == {("report.yml", "report")}
    for part in ("pull_request.head.repo.full_name == github.repository", "github.actor != 'dependabot[bot]'"):
        assert part in CONDITIONS["report.yml", "place"]
    assert job("report.yml", "place")["outputs"] == {"labels": "${{ steps.runner.outputs.labels }}"}
    (step,) = job("report.yml", "place")["steps"]  # no checkout: no code of the branch but this repository's workflows
    assert step["uses"] == "$/.github/actions/runner"
    assert step["with"]["known"] == "${{ vars.RUNNERS }}"


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


def test_no_checkout_keeps_its_token():
    for where, step in steps():
        if "actions/checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False, where


def test_the_trusted_job_checks_out_no_code_of_a_pull_request():
    for file in ("comment.yml", "drift.yml", "batch.yml"):
        checkouts = [
            s for name in WORKFLOWS[file]["jobs"] for s in job(file, name)["steps"] if "checkout" in s.get("uses", "")
        ]
        assert [step["with"]["ref"] for step in checkouts] == ["${{ github.event.repository.default_branch }}"]
    assert not [file for file, doc in WORKFLOWS.items() if "pull_request_target" in doc["on"]]
    assert [file for file, doc in WORKFLOWS.items() if "workflow_run" in doc["on"]] == ["comment.yml"]


def test_secrets_are_few_and_kept_in_an_environment():
    for file, name in JOBS:
        used = set(re.findall(r"secrets\.(\w+)", json.dumps(job(file, name))))
        if (file, name) in LASTING:  # the tokens of the service, of the environment that is deployed to
            assert used <= {"SERVE_TOKENS", "SERVE_TOKEN"}
            assert (file, name) in ENVIRONMENTS
        else:
            assert used <= {"APP_PRIVATE_KEY"}
            assert not used or job(file, name)["environment"]["name"] == "bot"


def test_only_what_may_be_missing_may_fail_in_silence_and_it_says_why():
    lenient = [(where, step) for where, step in steps() if "continue-on-error" in step]
    assert {where for where, _ in lenient} == {"cml/action.yml"}  # test_faults.py sees the summary name what is missing
    assert not [key for key in JOBS if "continue-on-error" in job(*key)]
    lines = [
        line for path in [*FILES, *ACTIONS] for line in path.read_text().splitlines() if "continue-on-error" in line
    ]
    assert len(lines) == len(lenient)
    assert all(" # " in line for line in lines)


def test_inputs_have_types_and_words():
    for file, document in WORKFLOWS.items():
        for event in ("workflow_dispatch", "workflow_call"):
            for name, about in ((document["on"].get(event) or {}).get("inputs") or {}).items():
                assert about["type"] in ("string", "choice", "boolean", "number"), (file, name)
                assert about["description"]
                assert event == "workflow_dispatch" or "default" in about, "a caller says only what differs"


def test_schedules_are_explained_and_off_the_full_hour():
    page = (ROOT / "docs" / "operations.md").read_text()
    for file, document in WORKFLOWS.items():
        for entry in document["on"].get("schedule", []):
            assert entry["cron"] in page, file
            assert not entry["cron"].startswith("0 ")


def test_the_rows_of_params_are_the_branches_that_promote_listens_to():
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert list(settings["promote"]["branches"]) == WORKFLOWS["promote.yml"]["on"]["push"]["branches"]
    options = {
        option for file in ("deploy.yml", "rollback.yml")
        for option in WORKFLOWS[file]["on"]["workflow_dispatch"]["inputs"]["environment"]["options"]
    }  # fmt: skip
    assert options == {*settings["promote"]["branches"].values(), "production"}


def test_protection_asks_for_checks_that_exist():
    rule = json.loads((GITHUB / "rulesets" / "main.json").read_text())
    checks = next(
        r["parameters"]["required_status_checks"] for r in rule["rules"] if r["type"] == "required_status_checks"
    )
    names = {job(*key)["name"] for key in JOBS if WORKFLOWS[key[0]]["on"].keys() & {"pull_request"}}
    assert {check["context"] for check in checks} <= names
    needed = set(job("ci.yml", "required")["needs"])
    assert needed == set(WORKFLOWS["ci.yml"]["jobs"]) - {"required"}


def test_dependabot_watches_what_is_used_in_groups_and_with_a_cooldown():
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "uv", "docker"}
    for update in updates:
        assert update["cooldown"]["default-days"] >= 7
        assert update["groups"]


def test_every_workflow_is_in_the_operators_page():
    page = (ROOT / "docs" / "operations.md").read_text()
    for file in WORKFLOWS:
        assert f"### {file.removesuffix('.yml')}\n" in page


@pytest.mark.parametrize(
    "command",
    [
        ["actionlint", *map(str, FILES)],
        ["zizmor", "--offline", "--persona", "auditor", "--strict-collection", "--quiet", ".github"],
    ],
    ids=["actionlint", "zizmor"],
)
def test_linters_find_nothing(command):
    program = Path(sys.executable).with_name(command[0])
    path = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": "/nonexistent", "NO_COLOR": "1"}
    done = subprocess.run(
        [program, *command[1:]], cwd=GITHUB.parent, capture_output=True, text=True, check=False, env=path
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_one_exception_to_zizmor_is_the_trusted_workflow():
    ignores = [
        (path.name, line)
        for path in [*FILES, *ACTIONS]
        for line in path.read_text().splitlines()
        if "zizmor: ignore" in line
    ]
    ((name, line),) = ignores
    assert name == "comment.yml"
    assert "ignore[dangerous-triggers]" in line
    assert not list(GITHUB.glob("zizmor.y*ml"))
