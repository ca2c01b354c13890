"""Copies an artifact of a run out of the hub; another run's only with the right to read it."""

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
kept = Path(os.environ["HUB_FOLDER"], "artifacts", run, name)
if not kept.is_dir():
    sys.exit(f"Unable to download artifact(s): Artifact not found for name: {name}")
shutil.copytree(kept, os.environ["DESTINATION"], dirs_exist_ok=True)
