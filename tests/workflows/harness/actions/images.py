"""An image registry for the stand-ins: images by digest, with what was said about them, under the hub's folder."""

import hashlib
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

REGISTRY = Path(os.environ["HUB_FOLDER"], "registry")
SESSION = Path(os.environ["HUB_TOKENS"], f"{os.environ['GITHUB_JOB']}.login")


def main(verb: str) -> None:
    {"login": login, "build": build, "attest": attest, "sbom": sbom, "pages": pages}[verb]()


def login() -> None:
    demand(os.environ["PASSWORD"], "packages", "read")
    SESSION.write_text(os.environ["PASSWORD"])


def build() -> None:
    """The digest is that of the files which the Dockerfile's context holds, without git's own."""
    context, total = Path(os.environ["CONTEXT"]), hashlib.sha256()
    ignored = (".git", ".venv", ".cache", ".store", ".dvc", ".cml", "__pycache__")
    for file in [Path(os.environ["FILE"]), *sorted(context.rglob("*"))]:
        if file.is_file() and not any(part in ignored for part in file.parts):
            total.update(file.as_posix().encode() + file.read_bytes())
    digest = f"sha256:{total.hexdigest()}"
    with open(os.environ["GITHUB_OUTPUT"], "a") as output:
        output.write(f"digest={digest}\n")
    if os.environ["PUSH"] == "true" or "push=true" in os.environ["OUTPUTS"]:
        if not SESSION.exists():
            sys.exit("denied: not logged in to the registry")
        demand(SESSION.read_text(), "packages")
        keep(digest, "tags", os.environ["TAGS"].split())
        keep(digest, "runs", os.environ["GITHUB_RUN_ID"])
        keep(digest, "arguments", dict(line.split("=", 1) for line in os.environ["ARGUMENTS"].split()))


def attest() -> None:
    token = Path(os.environ["HUB_TOKENS"], os.environ["GITHUB_JOB"]).read_text()
    demand(token, "id-token")
    demand(token, "attestations")
    keep(os.environ["DIGEST"], "attested", os.environ["HUB_SIGNER"])


def sbom() -> None:
    name, _, digest = os.environ["IMAGE"].partition("@")
    keep(digest, "sbom", name)
    Path(os.environ["OUTPUT"]).write_text(json.dumps({"spdxVersion": "SPDX-2.3", "name": name}))


def pages() -> None:
    """The site is the artifact of this run."""
    token = Path(os.environ["HUB_TOKENS"], os.environ["GITHUB_JOB"]).read_text()
    demand(token, "pages")
    demand(token, "id-token")
    hub = Path(os.environ["HUB_FOLDER"])
    shutil.copytree(hub / "artifacts" / os.environ["GITHUB_RUN_ID"] / "github-pages", hub / "pages")


def keep(digest: str, what: str, value: object) -> None:
    """Raises SystemExit for an image that nobody pushed."""
    path = REGISTRY / f"{digest.removeprefix('sha256:')}.json"
    if not digest.startswith("sha256:") or (what != "tags" and not path.exists()):
        sys.exit(f"manifest unknown: {digest}")
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known | {what: value}))


def demand(token: str, scope: str, level: str = "write") -> None:
    address = f"{os.environ['GITHUB_API_URL']}/hub/{os.environ['GITHUB_REPOSITORY']}/may/{scope}/{level}"
    try:
        urllib.request.urlopen(urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})).read()
    except urllib.error.HTTPError as error:
        sys.exit(f"denied: {scope}: {level} is needed ({error.code})")


main(sys.argv[1])
