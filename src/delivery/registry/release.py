"""A release: everything that decides an answer. A version of the registry is one release.

It is the exported model and, in the bundle, the code that serves it (`service`, `model`, `core` and the problem), its
locked libraries, the `serve` section of params.yaml with every default, the Dockerfile, which names its base image by
digest, and the OpenAPI document that follows from them. A version's files hold both, as export/ and release/: it starts
from the store alone, whatever is checked out.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import yaml

import delivery
import problem
from delivery.adapters import git
from delivery.core import documents, files, params, workspace
from delivery.core.errors import Failure
from delivery.core.manifest import Manifest

BUNDLE, EXPORTED = "release", "export"  # folders of a version's files
PACKAGE = PurePosixPath("src/delivery")
SERVED = ("__init__.py", "core", "model", "service")  # of the package; .dockerignore lets the same into the image
PROBLEM = PurePosixPath("src/problem")
LOCK, SETTINGS, DOCKERFILE = "requirements.txt", "params.yaml", "Dockerfile"  # files of a bundle
DOCUMENT = "openapi.json"  # in the bundle; next to it in versions from before the digest covered it
LOCKS = {"onnx": "serve.txt", "sklearn": "sklearn.txt"}  # by the runtime of the exported model
REQUIREMENTS = Path("requirements")
SHOWN = 3  # files named in a list of changes
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)", re.MULTILINE)


def digest(version_files: Path) -> str:
    """Return the sha256 of a release, from a folder with its export/ and release/."""
    parts = [files.digest(version_files / name) for name in (EXPORTED, BUNDLE)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def current() -> str:
    """Return the digest of the release that this checkout and the exported model on disk make."""
    with made() as folder:
        return digest(folder)


@contextmanager
def made() -> Iterator[Path]:
    """Yield a temporary folder with export/ and release/ of this checkout."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(workspace.EXPORT, Path(scratch, EXPORTED))
        collect(workspace.EXPORT, Path(scratch, BUNDLE))
        yield Path(scratch)


def collect(exported: Path, to: Path) -> None:
    """Write the bundle that serves an exported model to a new folder.

    It has the code that runs now, lock, settings, Dockerfile and OpenAPI document. Raise `Failure` if the lock of its
    libraries is missing, or the model does not load.
    """
    from delivery.registry import interface  # loads the service, which a rollback does not need

    runtime = documents.read(exported / workspace.MANIFEST, Manifest, "run").runtime
    lock = REQUIREMENTS / LOCKS[runtime]
    if not lock.exists():
        raise Failure(f"{lock} is missing, the libraries that serve the model; `make lock` writes it")
    package = Path(delivery.__file__).parent
    for name in SERVED:
        _copy(package / name, to / PACKAGE / name)
    _copy(Path(problem.__file__).parent, to / PROBLEM)
    files.write(to / LOCK, lock.read_bytes())
    files.write(to / SETTINGS, settings_text(params.serving()))
    if Path(DOCKERFILE).exists():
        files.write(to / DOCKERFILE, Path(DOCKERFILE).read_bytes())
    files.write_json(to / DOCUMENT, interface.describe(exported, params.serving()), exact=True)


def document(version_files: Path) -> Any:
    """Return the OpenAPI document of a version; None if it was registered before versions kept theirs."""
    known = (version_files / BUNDLE / DOCUMENT, version_files / DOCUMENT)
    return next((files.read_json(path, "register") for path in known if path.exists()), None)


def settings_text(serve: params.Serve) -> str:
    """Return the params.yaml of a bundle: the settings of the service, with every default."""
    return yaml.safe_dump({"serve": msgspec.to_builtins(serve)}, sort_keys=True, allow_unicode=True)


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copyfile(source, to)


def of_commit(commit: str, exported: Path, to: Path) -> None:
    """Write the bundle of a commit to a new folder, for a version that was registered before versions held theirs.

    Raise `Failure` if this repository does not have the commit.
    """
    paths = [*(str(PACKAGE / name) for name in SERVED), str(PROBLEM), REQUIREMENTS.name, SETTINGS, DOCKERFILE]
    archive = git.archive(commit, paths)
    runtime = documents.read(exported / workspace.MANIFEST, Manifest, "run").runtime
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(scratch, filter="data")
        there = Path(scratch)
        for path in (Path("src"), Path(DOCKERFILE)):
            if (there / path).exists():
                _copy(there / path, to / path)
        files.write(to / LOCK, (there / REQUIREMENTS / LOCKS[runtime]).read_bytes())
        files.write(to / SETTINGS, (there / SETTINGS).read_bytes())


def changes(before: Path, now: Path) -> str:
    """Return what differs between two releases, each a folder with export/ and release/: `model unchanged; features.py`."""
    model = "model unchanged" if _same(before / EXPORTED, now / EXPORTED) else "model"
    if not (before / BUNDLE).exists():
        return f"{model}; the rest of the older one is not on record"
    old, new = (_contents(folder) for folder in (before, now))
    differing = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    code = [PurePosixPath(name).name for name in differing if name.startswith("src/")]
    parts = [model]
    if code:
        more = f" and {len(code) - SHOWN} more" if len(code) > SHOWN else ""
        parts.append(", ".join(code[:SHOWN]) + more)
    if LOCK in differing:
        parts.append(libraries(old.get(LOCK, b"").decode(), new.get(LOCK, b"").decode()))
    parts += [
        name for path, name in ((SETTINGS, "settings of the service"), (DOCKERFILE, "Dockerfile")) if path in differing
    ]
    if DOCUMENT in old and _seen(old) != _seen(new):
        parts.append("what clients see")
    return "; ".join(parts) if len(parts) > 1 or parts == ["model"] else "nothing"


def _seen(contents: Mapping[str, bytes]) -> Any:
    """Return the OpenAPI document of a bundle without its version, which is the digest of the model."""
    described = msgspec.json.decode(contents.get(DOCUMENT, b"{}"))
    return described | {"info": described.get("info", {}) | {"version": ""}}


def libraries(before: str, now: str) -> str:
    """Return how many pinned libraries differ between two locks, with their versions if there is only one."""
    old, new = (dict(_PIN.findall(text)) for text in (before, now))
    differing = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if len(differing) == 1:
        (name,) = differing
        return f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
    return f"{len(differing)} libraries" if differing else "the lock's comments or hashes"


def _contents(folder: Path) -> Mapping[str, bytes]:
    bundle = folder / BUNDLE
    return {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def _same(one: Path, other: Path) -> bool:
    return files.digest(one) == files.digest(other)
