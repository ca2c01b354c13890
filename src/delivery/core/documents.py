"""Read and write documents: JSON files whose content is a frozen struct."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from delivery.core import files
from delivery.core.errors import Failure

Document = TypeVar("Document")


def read(path: Path, kind: type[Document], made_by: str) -> Document:
    """Return the file's content. Raise `Failure`, naming the verb that writes it, if it is missing or invalid."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `delivery {made_by}` first") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failure(f"{path} is no {kind.__name__} ({error}); run `delivery {made_by}` again") from None


def write(path: Path, document: msgspec.Struct) -> None:
    """Write the file indented, sorted and rounded, so that the same numbers give the same bytes."""
    files.write_json(path, as_builtins(document))


def as_builtins(content: Any) -> Any:
    """Return the content as dicts, lists and rounded numbers; structs may be nested and hold numpy scalars."""
    if isinstance(content, msgspec.Struct):
        values = ((name, getattr(content, name)) for name in content.__struct_fields__)
        return {name: as_builtins(value) for name, value in values if value is not msgspec.UNSET}
    if isinstance(content, dict):
        return {str(key): as_builtins(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [as_builtins(value) for value in content]
    return files.rounded(content)
