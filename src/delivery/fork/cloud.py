"""What `doctor` says of DVC's remote and of the login to its cloud, which the repository's variables set up."""

import json
import os
from typing import Any

from delivery.adapters import dvc
from delivery.fork.settings import Finding

VARIABLES = "REPOSITORY_VARIABLES"  # in a workflow: the repository's variables as JSON
UNNEEDED = "not needed: no bucket holds data and models"
GUIDE = "docs/how-to/scale.md#log-in-to-the-bucket"
# By the scheme of a bucket's address: its cloud, and the variables of the login. Without the first one nothing logs in.
LOGINS = {
    "s3": ("Amazon", ("AWS_ROLE_ARN", "AWS_REGION")),
    "gs": ("Google", ("GCP_WORKLOAD_IDENTITY_PROVIDER", "GCP_SERVICE_ACCOUNT")),
    "azure": ("Azure", ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID")),
}


def remote() -> Finding:
    """Look for DVC's default remote."""
    name, address = "DVC remote", dvc.default_remote()
    if not address:
        return Finding(name, "missing", "see .dvc/config", "`dvc remote add --default ...`")
    if dvc.in_store():
        return Finding(name, "ready", "the store branch", "outgrown? `dvc remote add --default ...`")
    return Finding(name, "ready", address)


def login() -> Finding:
    """Look whether the variables of a login are complete, and whether a bucket has one."""
    name, address = "cloud login", dvc.default_remote()
    scheme = address.partition("://")[0]
    if VARIABLES not in os.environ and scheme in LOGINS:
        return Finding(name, "unknown", "only a workflow sees the variables", "`gh workflow run doctor.yml`")
    known = set_variables()
    if half := _by_half(known, scheme):
        return Finding(name, "missing", *half)
    complete = {kind for kind, (_, wanted) in LOGINS.items() if all(known.get(one) for one in wanted)}
    if scheme in LOGINS and scheme not in complete:
        cloud, wanted = LOGINS[scheme]
        found = f"none to {cloud}: no job can write to {address}, or read it where it is private"
        return Finding(name, "missing", found, f"{_variables(list(wanted))}; {GUIDE}")
    if scheme in complete:
        return Finding(name, "ready", f"{LOGINS[scheme][0]}, for {address}")
    if not complete:
        return Finding(name, "ready", UNNEEDED)
    clouds = ", ".join(LOGINS[kind][0] for kind in sorted(complete))
    return Finding(name, "optional", f"{clouds}, where nothing is kept", "`dvc remote add --default ...`")


def _by_half(known: dict[str, Any], scheme: str) -> tuple[str, str] | None:
    """Return what is set of an incomplete login, and the fix. A region alone counts for a bucket in that cloud only."""
    for kind, (cloud, wanted) in LOGINS.items():
        present = [one for one in wanted if known.get(one)]
        absent = [one for one in wanted if one not in present]
        if present and absent and (wanted[0] in present or kind == scheme):
            return (
                f"{cloud} by half: {', '.join(present)} without {', '.join(absent)}",
                f"{_variables(absent)}; {GUIDE}",
            )
    return None


def set_variables() -> dict[str, Any]:
    """Return the repository's variables, by name; none on a laptop."""
    known: dict[str, Any] = json.loads(os.environ.get(VARIABLES) or "{}")
    return known


def _variables(names: list[str]) -> str:
    return f"variable{'s' if names[1:] else ''} {', '.join(names)}"
