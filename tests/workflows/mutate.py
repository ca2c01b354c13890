"""Mutation test of the workflows: takes away a right, a condition, a gate, a limit, and expects red.

`python tests/workflows/mutate.py` plants each mutant in a copy of .github and runs the static rules;
`--scenarios` runs the scenarios of the mutant's file instead, so that a right is also missed by who needed it.
Prints each mutant with what killed it; exit code 1 if one survived. docs/how-to/set-up.md lists those that survive
the scenarios, and why.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# The slow ones last, those of the queues and of the linters: a mutant that another one finds does not wait for them.
RULES = sorted(
    (path.name for path in HERE.glob("test_rules_*.py")), key=lambda name: ("linters" in name, "queues" in name)
)
# The scenarios that need each file and the one it calls, cheapest first.
SCENARIOS = {
    "alert.yml": ["test_operations.py::test_a_red_schedule_is_one_issue_with_the_cause_until_it_is_green"],
    "batch.yml": ["test_operations.py::test_batch_scores_what_serves_has_not_scored_and_keeps_it"],
    "bump.yml": ["test_operations.py::test_newer_dependencies_are_one_pull_request_whose_results_are_made_again"],
    "ci.yml": ["test_pull_request.py::test_a_change_of_documentation_costs_one_job_and_one_line",
               "test_pull_request.py::test_a_merge_queue_gets_the_required_checks_of_the_commit_that_it_would_merge",
               "test_pull_request.py::test_a_failing_suite_shows_in_the_summary_and_blocks",
               "test_pull_request.py::test_a_pull_request_is_judged_against_its_own_base_also_on_dispatch_and_after_it_changes",
               "test_pull_request.py::test_a_difference_within_noise_is_called_that_and_a_second_push_updates_the_comment",
               "test_pull_request.py::test_an_improvement_gets_its_results_committed_and_says_so",
               "test_pull_request.py::test_with_an_apps_token_the_committed_results_start_their_checks_themselves",
               "test_pull_request.py::test_a_fork_is_told_what_to_run",
               "test_pull_request.py::test_a_broken_schema_stops_everything_and_names_the_column"],
    "command.yml": ["test_conflicts.py"],
    "comment.yml": ["test_pull_request.py::test_a_fork_is_told_what_to_run", "test_hostile.py"],
    "compact.yml": ["test_operations.py::test_the_store_is_compacted_and_everything_goes_on"],
    "deploy.yml": ["test_operations.py::test_deploy_and_roll_back_by_hand"],
    "doctor.yml": ["test_operations.py::test_doctor_names_what_is_missing_without_being_red",
                   "test_operations.py::test_doctor_with_everything_missing_names_every_fix"],
    "drift.yml": ["test_drift.py::test_one_pull_request_by_cml_and_its_commit_is_known_again",
                  "test_summer.py",
                  "test_drift.py::test_with_an_apps_token_the_pull_request_starts_its_checks_itself"],
    "drill.yml": ["test_operations.py::test_a_drill_proves_the_rollback_or_opens_an_issue"],
    "pages.yml": ["test_operations.py::test_the_documentation_becomes_a_site"],
    "promote.yml": ["test_promotion.py", "test_plans.py"],
    "refresh.yml": ["test_conflicts.py"],
    "remake.yml": ["test_operations.py::test_what_dvc_lock_says_is_made_again_in_one_night_only"],
    "rollback.yml": ["test_operations.py::test_deploy_and_roll_back_by_hand"],
    "scan.yml": ["test_operations.py::test_a_weekly_scan_keeps_one_issue_while_a_fix_is_waiting"],
    "tag.yml": ["test_operations.py::test_a_version_with_a_heading_is_tagged_once_and_a_fork_tags_by_hand"],
}  # fmt: skip
GATES = (
    "delivery review",
    "delivery promote",
    "delivery suite",
    "delivery reproduce",
    "delivery rehearse",
    "delivery scan",
    "delivery scope",
    "make check",
    "jq 'map_values",
)
# Pattern of a line, what takes its place, and what that is called.
LINES = (
    (r"^( +)[a-z-]+: (read|write) #.*$", "", "right removed"),
    (r"^( +[a-z-]+): write( #.*)$", r"\1: read\2", "right lowered"),
    (r"^( +- run|        run): (.*(?:" + "|".join(map(re.escape, GATES)) + r").*)$", r"\1: 'true'", "gate passed over"),
    (r"^    if: [^>].*$", "", "condition removed"),
    (r"^        if: .*$", "", "step's condition removed"),
    (r"^      - if: .*$", "      - if: true", "step's condition removed"),
    (r"^ +timeout-minutes: .*$", "", "limit removed"),
    (r"^ +continue-on-error: .*$", "", "a plan without attestations delivers nothing"),
    (r"^( +continue-on-error: ).*$", r"\1true", "a public image without attestation passes"),
    (r"^ +ATTESTATIONS?: .*$", "", "attestation not asked for"),
    (r"^  merge_group:.*$", "", "merge queue forgotten"),
    (r"^( +BASE: \$\{\{ )github\.event\.merge_group\.base_sha \|\| ", r"\1", "other groups of the queue forgotten"),
    (r"^ +retention-days: .*$", "", "artifacts kept for longer"),
    (r"^( +)persist-credentials: false$", r"\1persist-credentials: true", "token kept on disk"),
    (r"^( +uses: [\w./-]+)@[0-9a-f]{40} # (v[\d.]+)$", r"\1@\2", "pin loosened"),
    (r"^( +- uses: [\w./-]+)@[0-9a-f]{40} # (v[\d.]+)$", r"\1@\2", "pin loosened"),
    (r"^    needs: .*$", "", "order removed"),
    (r"^ +directory: \$\{\{ inputs.*$", "", "folder not passed on"),
    (r"^ +(?:ref|fetch-depth|requirements|store|cache): .*$", "", "set-up left to its default"),
    (r"^    secrets: inherit.*$", "", "secrets not handed on"),
    (
        r"^      (?:run|number|base|results|suites|problem-suites|model-suites|machinery-model-suites): .*$",
        "",
        "input not passed on",
    ),
    (r"^ +working-directory: .*$", "", "folder not worked in"),
    (r"^( +path: )\$\{\{ inputs\.directory \}\}/", r"\1", "folder forgotten"),
    (r"^( +group: \w+-)\$\{\{ inputs\.directory \}\}-", r"\1", "one queue for several models"),
    (r"^( +name: .*)\$\{\{ \w+\.\w+\.outputs\.suffix \}\}$", r"\1", "one name for several models"),
    (r"^    runs-on: .*$", "    runs-on: self-hosted", "own machine for all"),
    (r"^(    runs-on: .*)ubuntu-[\d.]+(.*)$", r"\1ubuntu-latest\2", "release of the machine left open"),
    (r"^permissions: \{\}$", "", "denial at the top removed"),
    (r"^( +)cancel-in-progress: false$", r"\1cancel-in-progress: true", "may be cut off"),
    (r"^( +)cancel-in-progress: true$", r"\1cancel-in-progress: false", "is not cut off"),
    (r"^ +queue: max.*$", "", "may be lost while it waits"),
    (r"^( +group: )(\w+)-.*\$\{\{.*$", r"\1\2", "one queue for all"),
    (r"^( +group: .*)-\$\{\{[^}]*\}\}$", r"\1", "one queue for several"),
    (r"^( +)name: (bot|\$\{\{ (?:inputs|needs).*)$", r"\1name: other", "environment changed"),
)
# Conditions over two lines, as text.
BLOCKS = (
    (r", edited\]", "]", "another base not noticed"),
    (r"github\.base_ref \|\| inputs\.base", "github.base_ref", "base of a dispatch forgotten"),
    (r" \|\| github\.event\.action == 'edited' && !github\.event\.changes\.base", "", "a title ends a report"),
    (r"(?m)^    if: >-\n(?:      .*\n)+", "", "condition removed"),
    (r" && github\.event\.pull_request\.head\.repo\.full_name == github\.repository", "", "own repository not asked"),
    (
        r"\n      && github\.event\.pull_request\.head\.repo\.full_name == github\.repository",
        "\n     ",
        "own repository not asked",
    ),
    (r" && github\.actor != 'dependabot\[bot\]'", "", "Dependabot not asked"),
    (r"github\.event_name == 'pull_request'\n      && ", "", "event not asked"),
    (r" && github\.ref_name != github\.event\.repository\.default_branch", "", "default branch not asked"),
    (r"\n      \|\| inputs\.results && [^)]*", "", "merged branch gets no results"),
    (r"inputs\.results && inputs\.number \|\| ", "", "results made in a queue of their own"),
    (r"needs\.report\.outputs\.stale == 'true' && ", "", "staleness not asked"),
)


def mutants(text: str) -> Iterator[tuple[str, str]]:
    """Name and text of each file with one thing taken away."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        for pattern, replacement, what in LINES:
            if re.match(pattern, line):
                changed = re.sub(pattern, replacement, line)
                after = [*lines[:number], *([changed] if changed else []), *lines[number + 1 :]]
                yield f"{what}: line {number + 1} {line.strip()[:70]}", "\n".join(after) + "\n"
    for pattern, replacement, what in BLOCKS:
        for number, found in enumerate(re.finditer(pattern, text)):
            after_text = text[: found.start()] + re.sub(pattern, replacement, found[0]) + text[found.end() :]
            yield f"{what}: {number + 1}", after_text


def killed(github: Path, tests: list[str]) -> str:
    """The first test that failed, or nothing."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-x", "-q", "-rfE", "-p", "no:cacheprovider", *tests]
    variables = os.environ | {"DELIVERY_GITHUB": str(github), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=HERE, env=variables, capture_output=True, text=True, check=False)
    failed = re.findall(r"(?m)^(?:FAILED|ERROR) (\S+)", done.stdout)
    if done.returncode and not failed:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return failed[0].rpartition("/")[2] if failed else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", action="store_true", help="kill with scenarios, not with the static rules")
    parser.add_argument("--only", default="", help="mutants whose name or file has this text")
    options = parser.parse_args()
    survived = count = 0
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(ROOT / ".github", Path(scratch, ".github"))
        if why := killed(Path(scratch, ".github"), RULES):
            sys.exit(f"red without any mutant: {why}")
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for name, text in mutants(path.read_text()):
            if options.only not in f"{path.name} {name}":
                continue
            with tempfile.TemporaryDirectory() as scratch:
                github = Path(scratch, ".github")
                shutil.copytree(ROOT / ".github", github)
                (github / "workflows" / path.name).write_text(text)
                by = killed(github, SCENARIOS[path.name.removeprefix("_")] if options.scenarios else RULES)
            count, survived = count + 1, survived + (not by)
            print(f"{'killed  ' if by else 'SURVIVED'} {path.name} {name}{f'  by {by}' if by else ''}", flush=True)
    print(f"{count - survived} of {count} mutants killed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
