"""The three clouds: a role for a job that GitHub vouches for, where the role trusts the subject of its OIDC token.

The scenario says in `cloud.json` of the hub's folder which roles there are: {role: {"trusts": [pattern], "environment": {}}}.
docs.github.com: actions/reference/security/oidc
"""

import json
import os
import sys
import urllib.request
from fnmatch import fnmatchcase
from pathlib import Path

HUB = Path(os.environ["HUB_FOLDER"])


def main(*needed: str) -> None:
    given = json.loads(os.environ["GIVEN"])
    if missing := [name for name in needed if not given[name]]:
        sys.exit(f"Error: Input required and not supplied: {missing[0]}")
    if not (address := os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")):
        sys.exit("Error: Credentials could not be loaded. Did you mean to set the `id-token` permission?")
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {os.environ['HUB_TOKEN']}"})
    with urllib.request.urlopen(request) as reply:
        subject = json.loads(reply.read())["value"]
    role = given[needed[0]]
    about = json.loads((HUB / "cloud.json").read_text()).get(role, {"trusts": []})
    if not any(fnmatchcase(subject, pattern) for pattern in about["trusts"]):
        sys.exit(f"Error: Could not assume role with OIDC: {role} does not trust {subject}")
    with open(os.environ["GITHUB_ENV"], "a") as file:
        file.writelines(f"{name}={value}\n" for name, value in about["environment"].items())
    with (HUB / "logins").open("a") as file:
        file.write(f"{os.environ['GITHUB_JOB']} {role} {subject}\n")


main(*sys.argv[1:])
