"""The examples of docs/oidc: a cloud's remote without a key in the repository. Nobody has run them against a cloud."""

import re
import subprocess
import sys
from pathlib import Path

import made
import pytest
import yaml

EXAMPLES = sorted((made.ROOT / "docs" / "oidc").glob("*.yml"))
BIN = Path(sys.executable).parent
LOGIN = {
    "aws": ("aws-actions/configure-aws-credentials", {"role-to-assume", "aws-region"}),
    "azure": ("azure/login", {"client-id", "tenant-id", "subscription-id"}),
    "gcp": ("google-github-actions/auth", {"workload_identity_provider", "service_account"}),
}
KEYLIKE = re.compile(r"secrets\.|access.key|client.secret|credentials_json|creds:", re.IGNORECASE)


def refuse(path: Path) -> list[str]:
    """What is wrong with an example."""
    text = path.read_text()
    job = yaml.safe_load(text)["jobs"]["pull"]
    action, settings = LOGIN[path.stem]
    steps = {step.get("uses", step.get("run")).partition("@")[0]: step for step in job["steps"]}
    wrong = []
    if KEYLIKE.search(text):
        wrong.append("it names a key or a secret")
    if yaml.safe_load(text)["permissions"] or job["permissions"] != {"contents": "read", "id-token": "write"}:
        wrong.append("its rights are others than reading, and GitHub's word for the job")
    if list(steps) != ["$/.github/actions/setup", action, "dvc pull"]:
        wrong.append("it logs in before the checkout, which deletes what a login leaves, or after the remote is needed")
    if job["steps"][0]["with"] != {"requirements": "scale"}:
        wrong.append("the set with the cloud's library is not installed")
    if set(steps[action]["with"]) != settings:
        wrong.append("the login has other settings")
    if not re.search(rf"{action}@[0-9a-f]{{40}} # v\d", text):
        wrong.append("the login is not pinned to a commit")
    for checker in (("actionlint", "-shellcheck", str(BIN / "shellcheck")), ("zizmor", "--offline", "--quiet",
                                                                             "--persona=auditor")):  # fmt: skip
        done = subprocess.run([BIN / checker[0], *checker[1:], path], capture_output=True, text=True, check=False)
        if done.returncode:
            wrong.append(f"{checker[0]}: {done.stdout}")
    return wrong


def test_there_is_one_for_each_cloud() -> None:
    assert {path.stem for path in EXAMPLES} == set(LOGIN)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_needs_no_key_and_the_least_rights(path: Path) -> None:
    assert refuse(path) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("${{ vars.AWS_ROLE }}", "${{ secrets.AWS_ROLE }}", "it names a key or a secret"),
        ("role-to-assume", "aws-access-key-id", "it names a key or a secret"),
        ("contents: read", "contents: write", "its rights are others"),
        ("id-token: write #", "id-token: read #", "its rights are others"),
        ("permissions: {}", "permissions: write-all", "its rights are others"),
        ("e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6", "the login is not pinned"),
        ("runs-on: ubuntu-24.04", "runs_on: ubuntu-24.04", "actionlint: "),
        ("requirements: scale", "requirements: pipeline", "the set with the cloud's library"),
        ("      - run: dvc pull\n", "", "it logs in before the checkout"),
        (
            "  cancel-in-progress: false\n",
            "  cancel-in-progress: false\n\nenv: {A: '${{ secrets.A }}'}\n",
            "it names a key",
        ),
        ("concurrency:\n  group: ${{ github.workflow }}\n  cancel-in-progress: false\n", "", "zizmor: "),
    ],
)
def test_a_spoilt_example_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (made.ROOT / "docs" / "oidc" / "aws.yml").read_text()
    assert text.count(old) == 1
    spoilt = tmp_path / "aws.yml"
    spoilt.write_text(text.replace(old, new))
    assert any(words.startswith(says) for words in refuse(spoilt))
