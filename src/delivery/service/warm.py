"""Start without a server, when the image is built: check that the model loads, and compile every module it uses.

The base image has no bytecode, and the running container cannot write any.
"""

import importlib
import os
import py_compile
import sys
from pathlib import Path

from delivery.core.errors import Failure
from delivery.service import __main__, server
from delivery.service.access import Tokens
from delivery.service.app import About, App
from delivery.service.predict import Limits

LATE = ("uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on", "fastapi.openapi.docs")


def main() -> int:
    """Load the application and compile its modules; return the exit code."""
    try:
        app = App(Path(os.environ.get("SERVE_MODEL", "artifacts/export")), About(), Limits(), Tokens())
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    app.api.openapi()
    for name in (__main__.__name__, server.__name__, *LATE):
        importlib.import_module(name)
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for file in sorted(file for file in files if file and file.endswith(".py")):
        # Unchecked hashes: the same source gives the same bytes whatever its date, and Python never checks the source.
        py_compile.compile(file, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
