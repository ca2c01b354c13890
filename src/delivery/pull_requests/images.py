"""Publish the images of a comment or pull request: encode them again, keep them in the store, link them there."""

import io
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from delivery.adapters import github, store
from delivery.core import workspace

FILE_BYTES = 400_000
PIXELS = 8_000_000  # checked before anything is decoded: 32 MB of memory
NAME = re.compile(r"[a-z0-9_.]{1,40}")


class TooLarge(Exception):
    """An image has more pixels than PIXELS."""


@dataclass
class Budget:
    """How many images, and bytes of them, one run of the verb may still publish."""

    count: int = 60
    size: int = 2_000_000  # bytes


def reencoded(folder: Path, names: Iterable[str], budget: Budget) -> tuple[dict[str, bytes], dict[str, str]]:
    """Encode the plots `folder/<name>.png` again, within the budget; return them, and why others are left out."""
    kept: dict[str, bytes] = {}
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            if budget.count <= 0:
                raise ValueError("there are too many")
            content = re_encode(read(folder, name))
            if len(content) > budget.size:
                raise ValueError("the images of a run have 2 MB in all")
        except ValueError as reason:
            left_out[name] = str(reason)
        else:
            kept[name] = content
            budget.size -= len(content)
            budget.count -= 1
    return kept, left_out


def read(folder: Path, name: str) -> bytes:
    """Return the bytes of a plot. Raise `ValueError` unless it is a regular file of an expected name and size."""
    path = folder / f"{name}.png"
    if not NAME.fullmatch(name) or folder.is_symlink() or path.is_symlink() or not path.is_file():
        raise ValueError("it is not among the plots")
    if path.stat().st_size > FILE_BYTES:
        raise ValueError(f"it has more than {FILE_BYTES:,} bytes")
    return path.read_bytes()


def re_encode(content: bytes) -> bytes:
    """Return the pixels of a PNG as a new PNG without anything else of it. Raise `ValueError` if it is not a PNG."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                width, height = image.size
                if width * height > PIXELS:
                    raise TooLarge
                pixels = image.convert("RGBA")
            clean = Image.frombytes("RGBA", pixels.size, pixels.tobytes()).quantize()
            clean.save(buffer := io.BytesIO(), format="png", optimize=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, TooLarge):
        raise ValueError(f"it has more than {PIXELS:,} pixels") from None
    except Exception:  # a decoder may raise anything on hostile bytes; the image is left out
        raise ValueError("it is no PNG") from None
    return buffer.getvalue()


def publish(images: Mapping[str, bytes], key: str) -> dict[str, str]:
    """Write images to the store's folder `plots/<key>` and return their addresses, which only readers of it can open."""
    if not images:
        return {}

    def write() -> None:
        folder = workspace.PLOTS_KEPT / key
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in images.items():
            (folder / f"{name}.png").write_bytes(content)

    write()
    store.push(f"Plots of {key[:16]}", redo=write)
    # By branch, not by commit: `compact` replaces the commits.
    address = f"{github.server()}/{github.repository()}/blob/{store.branch()}/plots/{key}"
    return {name: f"{address}/{name}.png?raw=true" for name in images}
