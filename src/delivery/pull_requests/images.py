"""Pictures that a comment or a pull request shows: kept in the store, linked by commit."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from delivery.adapters import github, store
from delivery.core import workspace

MOST, BYTES, SIDE = 12, 400_000, 4000
PNG = b"\x89PNG\r\n\x1a\n"


def publish(pictures: Iterable[Path], place: str) -> dict[str, str]:
    """To the store's folder `plots/<place>`; returns file name to address, which only readers of the repository can open."""
    found = {path.name: path for path in [path for path in pictures if fit(path)][:MOST]}
    if not found:
        return {}

    def copy() -> None:
        target = workspace.STORE / "plots" / place
        target.mkdir(parents=True, exist_ok=True)
        for name, path in found.items():
            shutil.copyfile(path, target / name)

    copy()
    store.push(f"Plots of {place[:16]}", redo=copy)
    at = store.git("rev-parse", "HEAD", cwd=workspace.STORE)
    address = f"{github.server()}/{github.repository()}/blob/{at}/plots/{place}"
    return {name: f"{address}/{name}?raw=true" for name in found}


def fit(path: Path) -> bool:
    """A real PNG of a sensible size with a plain name."""
    if path.is_symlink() or not re.fullmatch(r"[a-z0-9_.]{1,40}\.png", path.name) or path.stat().st_size > BYTES:
        return False
    head = path.read_bytes()[:24]
    wide, high = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    return head.startswith(PNG) and 0 < wide <= SIDE and 0 < high <= SIDE
