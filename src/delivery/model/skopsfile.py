"""Save models as skops files, made canonical so that the same model gives the same bytes."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.core.errors import Failure
from delivery.core.files import write

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Types beyond those that skops trusts, whose source we have reviewed. Never take this list from a model file.
TRUSTED = [
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]


def dump(model: "Pipeline", path: Path) -> None:
    """Write the model to `path`."""
    import skops.io

    write(path, canonical(skops.io.dumps(model)))


def load(path: Path) -> "Pipeline":
    """Return the model in the file. Raise `Failure` if it is missing, no skops file, or holds a type not in TRUSTED."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(path, trusted=TRUSTED)
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `dvc repro` or `dvc pull`") from None
    except UntrustedTypesFoundException as error:
        raise Failure(f"{path} holds types that src/delivery/model/skopsfile.py does not trust: {error}") from None
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise Failure(f"{path} is not a model file ({error}); delete it and run `dvc repro`") from None


def canonical(content: bytes) -> bytes:
    """Return the archive with object ids renumbered in order of appearance and fixed file times.

    Give equal texts and numbers one id: whether they are one object in memory depends on where the model was fitted.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop("schema.json"))
    numbers: dict[int | str, int] = {}
    names: dict[str, str] = {}
    _renumber(schema, numbers, names)
    out = io.BytesIO()
    # Store without compression: zlib's bytes differ from one build of Python to the next, and git compresses anyway.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        packed = {names.get(name, name): data for name, data in files.items()}
        packed["schema.json"] = json.dumps(schema).encode()
        for name in sorted(packed):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), packed[name])
    return out.getvalue()


def _renumber(node: object, numbers: dict[int | str, int], names: dict[str, str]) -> None:
    """Replace each `__id__` and the file names made from ids, in place, depth first."""
    if isinstance(node, list):
        for part in node:
            _renumber(part, numbers, names)
    if not isinstance(node, dict):
        return
    if "__id__" in node:
        same = node["content"] if node.get("is_json") else node["__id__"]
        node["__id__"] = numbers.setdefault(same, len(numbers))
    if isinstance(node.get("file"), str):
        kind = re.sub(r"^\d+", "", node["file"])
        node["file"] = names.setdefault(node["file"], f"{len(names)}{kind}")
    for part in node.values():
        _renumber(part, numbers, names)
