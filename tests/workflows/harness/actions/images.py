"""An image registry for the stand-ins: images by digest, with what was said about them, under the hub's folder."""

import hashlib
import json
import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

REGISTRY = Path(os.environ["HUB_FOLDER"], "registry")
SESSION = Path(os.environ["HUB_TOKENS"], f"{os.environ['GITHUB_JOB']}.login")


def main(verb: str) -> None:
    {"login": login, "build": build, "attest": attest, "sbom": sbom, "grype": grype, "pages": pages}[verb]()


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
        keep(digest, "contents", pinned(context / "requirements" / "serve.txt"))
        keep(digest, "arguments", dict(line.split("=", 1) for line in os.environ["ARGUMENTS"].split()))


def attest() -> None:
    token = Path(os.environ["HUB_TOKENS"], os.environ["GITHUB_JOB"]).read_text()
    demand(token, "id-token")
    demand(token, "attestations")
    demand(token, "attestations", "plan")
    keep(os.environ["DIGEST"], "attested", os.environ["HUB_SIGNER"])


def sbom() -> None:
    name, _, digest = os.environ["IMAGE"].partition("@")
    keep(digest, "sbom", name)
    packages = [{"name": package, "versionInfo": version} for package, version in known(digest)["contents"].items()]
    listed = {"spdxVersion": "SPDX-2.3", "name": name, "packages": packages}
    Path(os.environ["OUTPUT"]).write_text(json.dumps(listed))


def grype() -> None:
    """What the scenario has written into `vulnerabilities.json`, of packages that the list or the image holds."""
    scheme, _, named = sys.argv[2].partition(":")
    if scheme == "registry":
        if not SESSION.exists():
            sys.exit("denied: not logged in to the registry")
        held = known(named.partition("@")[2])["contents"]
    else:
        listed = json.loads(Path(named).read_text())
        held = {
            one["name"]: one.get("version") or one["versionInfo"]
            for one in listed.get("components") or listed["packages"]
        }
    file = Path(os.environ["HUB_FOLDER"], "vulnerabilities.json")
    found = [one for one in json.loads(file.read_text()) if one["package"] in held] if file.exists() else []
    matches = [
        {
            "vulnerability": {
                "id": one["id"], "severity": one["severity"],
                "fix": {"versions": one["fixed"], "state": "fixed" if one["fixed"] else "not-fixed"},
            },
            "relatedVulnerabilities": [],
            "artifact": {"name": one["package"], "version": held[one["package"]], "type": "python"},
        }
        for one in found
    ]  # fmt: skip
    print(json.dumps({"matches": matches}))


def pinned(lock: Path) -> dict[str, str]:
    """The packages of the image: those of the lock that it is built from."""
    return dict(re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", lock.read_text())) if lock.exists() else {}


def known(digest: str) -> dict:
    path = REGISTRY / f"{digest.removeprefix('sha256:')}.json"
    return json.loads(path.read_text()) if path.exists() else sys.exit(f"manifest unknown: {digest}")


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
    said = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said | {what: value}))


def demand(token: str, scope: str, level: str = "write") -> None:
    address = f"{os.environ['GITHUB_API_URL']}/hub/{os.environ['GITHUB_REPOSITORY']}/may/{scope}/{level}"
    try:
        urllib.request.urlopen(urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})).read()
    except urllib.error.HTTPError as error:
        with error:
            said = json.loads(error.read())["message"]
        sys.exit(f"Error: {said}" if level == "plan" else f"denied: {scope}: {level} is needed ({error.code})")


main(sys.argv[1])
