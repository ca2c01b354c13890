"""Copies what is named by PATHS into the hub's artifacts of this run."""

import os
import shutil
import sys
from pathlib import Path

wanted = [Path(line) for line in os.environ["PATHS"].split("\n") if line.strip()]
found = [file for path in wanted for file in ([path] if path.is_file() else sorted(path.rglob("*"))) if file.is_file()]
root = wanted[0] if len(wanted) == 1 and wanted[0].is_dir() else Path(os.path.commonpath([p.parent for p in wanted]))
if os.environ["HIDDEN"] != "true":
    found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(root).parts)]
target = Path(os.environ["HUB_FOLDER"], "artifacts", os.environ["GITHUB_RUN_ID"], os.environ["NAME"])
if not found:
    print(f"No files were found with the provided path: {os.environ['PATHS']}")
    sys.exit(os.environ["IF_NONE"] == "error")
if os.environ["HUB_STORAGE"] == "full":  # the message of actions/upload-artifact
    sys.exit(
        "::error::Failed to CreateArtifact: Artifact storage quota has been hit. Unable to upload any new artifacts. "
        "Usage is recalculated every 6-12 hours."
    )
if target.exists():
    sys.exit(f"an artifact with the name {target.name} already exists")
for file in found:
    copy = target / file.relative_to(root)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, copy)
