"""Print the newest lines of a folder of prediction logs.

`traffic` runs this file where the log is, be that in a container, so it imports nothing of the project.
"""

import os
import sys
from pathlib import Path

SIZE = 2_000_000  # bytes; some thousand requests of one row


def recent(folder: Path, size: int = SIZE) -> bytes:
    """Return at most `size` bytes of complete lines, the newest of the newest files, oldest first."""
    parts: list[bytes] = []
    for path in newest_first(folder):
        try:
            log = path.open("rb")
        except FileNotFoundError:  # the service that writes the log deletes old files
            continue
        with log:
            begin = max(0, log.seek(0, os.SEEK_END) - size)
            log.seek(begin)
            text = log.read(size)
        text = text[: text.rfind(b"\n") + 1]
        parts.insert(0, text.partition(b"\n")[2] if begin else text)
        size -= len(text)
        if begin or size <= 0:
            break
    return b"".join(parts)


def newest_first(folder: Path) -> list[Path]:
    """Return the logs of a folder by the time of their last line, without those that the service deletes meanwhile."""
    found = []
    for path in folder.glob("predictions-*.jsonl"):
        try:
            found.append((path.stat().st_mtime, path))
        except FileNotFoundError:
            continue
    return [path for _, path in sorted(found, reverse=True)]


if __name__ == "__main__":
    sys.stdout.buffer.write(recent(Path(sys.argv[1])))
