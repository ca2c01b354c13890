"""Print every line that a folder of prediction logs gets from now on.

`shadow` runs this file where the log is, be that in a container, so it imports nothing of the project. The empty line that
it prints in each turn ends it once nobody reads its output.
"""

import sys
import time
from pathlib import Path

TICK = 0.2  # seconds


def follow(folder: Path) -> None:
    """Print what is appended to the logs of a folder, complete lines only, until the reader is gone."""
    positions = {path: size(path) for path in folder.glob("predictions-*.jsonl")}
    while True:
        for path in sorted(folder.glob("predictions-*.jsonl")):
            positions[path] = pass_on(path, positions.get(path, 0))
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
        time.sleep(TICK)


def size(path: Path) -> int:
    """Return the bytes of a file; 0 if the service has deleted it meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def pass_on(path: Path, position: int) -> int:
    """Print the complete lines of a file from a position on, and return the position after them."""
    try:
        log = path.open("rb")
    except FileNotFoundError:  # the service that writes the log deletes old files
        return position
    with log:
        log.seek(position)
        for line in log:
            if line.endswith(b"\n"):
                sys.stdout.buffer.write(line)
                position += len(line)
    return position


if __name__ == "__main__":
    follow(Path(sys.argv[1]))
