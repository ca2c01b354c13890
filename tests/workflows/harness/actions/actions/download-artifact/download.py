"""Copies an artifact of a run out of the hub, or each that fits a pattern; another run's only with the right to read it."""

import os
import shutil
import sys
import urllib.request
from pathlib import Path

run, name = os.environ["RUN"], os.environ["NAME"]
if run != os.environ["GITHUB_RUN_ID"]:
    address = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{run}/artifacts"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"})
    urllib.request.urlopen(request).read()
folder = Path(os.environ["HUB_FOLDER"], "artifacts", run)
if pattern := os.environ["PATTERN"]:  # github.com/actions/download-artifact: a single match goes straight into the path
    found = sorted(folder.glob(pattern))
    for path in found:
        into = Path(os.environ["DESTINATION"], path.name if len(found) > 1 else "")
        shutil.copytree(path, into, dirs_exist_ok=True)
    sys.exit()
kept = folder / name
if not kept.is_dir():
    sys.exit(f"Unable to download artifact(s): Artifact not found for name: {name}")
shutil.copytree(kept, os.environ["DESTINATION"], dirs_exist_ok=True)
