"""The third-party actions of the workflows, and those of this repository that only prepare a job."""

import hashlib
import os
import shutil
from pathlib import Path

from harness.gitserver import git
from harness.hub import Event, Json, Repo
from harness.plans import NO_ATTESTATIONS

from delivery.__main__ import main
from simulation.clones import checkout, fetch
from simulation.steps import Steps

# They do nothing that a later step can see here.
NOTHING = ("docker/setup-buildx-action", "docker/login-action", "$/.github/actions/cml")


def carry_out(name: str, given: Json, steps: Steps, repo: Repo, event: Event, folder: Path) -> int:
    """Run an action; return its exit code."""
    if name == "$/.github/actions/cloud":  # without its variables it asks nobody
        return 0
    steps.edge(name)
    if name in NOTHING:
        return 0
    return KNOWN[name](given, steps, repo, event, folder) or 0


def set_up(given: Json, steps: Steps, repo: Repo, event: Event, folder: Path) -> int:
    """Check out, and fetch the store: .github/actions/setup without Python and caches."""
    steps.refuse(repo, "contents", "read")
    ref = str(given.get("ref") or event.sha)
    sha = git(repo.path, "rev-parse", "--verify", f"{ref}^{{commit}}")
    checkout(repo, folder, sha, ref if ref == repo.default else "")
    if given.get("fetch-depth") == 0:
        fetch(repo, folder)
    if given.get("requirements") == "" or given.get("store") == "false":
        return 0
    os.environ["GITHUB_TOKEN"] = steps.secret
    return main(["store", "pull"])


def upload(given: Json, steps: Steps, repo: Repo, event: Event, folder: Path) -> int:
    """Keep files: of several paths from their common folder on."""
    paths = [(folder / line.strip()).resolve() for line in str(given["path"]).splitlines()]
    if given.get("if-no-files-found") == "ignore" and not any(path.exists() for path in paths):
        return 0
    if missing := [path for path in paths if not path.exists()]:
        print(f"error: no files were found at {missing[0].name}")
        return 1
    root = Path(os.path.commonpath(paths)) if paths[1:] else paths[0]
    to = steps.hub.folder / "artifacts" / os.environ["GITHUB_RUN_ID"] / given["name"]
    shutil.rmtree(to, ignore_errors=True)
    for path in paths:
        shutil.copytree(path, to / path.relative_to(root))
    return 0


def download(given: Json, steps: Steps, repo: Repo, event: Event, folder: Path) -> int:
    """Get an artifact by its name; or those that match, each in a folder of its own if there are several."""
    kept = steps.hub.folder / "artifacts" / str(given.get("run-id") or os.environ["GITHUB_RUN_ID"])
    found = sorted(kept.glob(given.get("pattern") or given["name"]))
    if not found and "name" in given:
        print(f"error: Artifact not found for name: {given['name']}")
        return 1
    for artifact in found:
        shutil.copytree(artifact, folder / given["path"] / (artifact.name if found[1:] else ""), dirs_exist_ok=True)
    return 0


def build(given: Json, steps: Steps, repo: Repo, event: Event, folder: Path) -> None:
    """An image of the model and the commit, pushed by digest, or kept on the runner."""
    if given.get("load"):
        return
    steps.refuse(repo, "packages", "write")
    model = (folder / "artifacts" / "export" / "model.onnx").read_bytes()
    digest = hashlib.sha256(model + given["build-args"].encode()).hexdigest()
    steps.images.add(f"sha256:{digest}")
    _output(digest=f"sha256:{digest}")


def listed(given: Json, steps: Steps, repo: Repo, event: Event, folder: Path) -> None:
    """The contents of an image, which nobody reads here."""
    (folder / given["output-file"]).write_text("{}")


def scanner(given: Json, steps: Steps, repo: Repo, event: Event, folder: Path) -> None:
    """`Steps.program` answers in its place."""
    _output(cmd="grype")


def attest(given: Json, steps: Steps, repo: Repo, event: Event, folder: Path) -> int:
    for scope in ("id-token", "attestations"):
        steps.refuse(repo, scope, "write")
    if not repo.plan.attestations:
        print(f"error: {NO_ATTESTATIONS.format(owner=repo.name.partition('/')[0])}")
        return 1
    steps.attested.add(f"{given['subject-name']}@{given['subject-digest']}")
    return 0


def _output(**values: str) -> None:
    with open(os.environ["GITHUB_OUTPUT"], "a") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())


KNOWN = {
    "$/.github/actions/setup": set_up,
    "actions/upload-artifact": upload,
    "actions/download-artifact": download,
    "docker/build-push-action": build,
    "actions/attest-build-provenance": attest,
    "anchore/sbom-action": listed,
    "anchore/scan-action/download-grype": scanner,
}
