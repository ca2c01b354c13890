"""Run the verb `serve` as the image's entry point; the image does not contain the other verbs."""

import argparse
import sys

from delivery.core.errors import Failure
from delivery.service import serve


def main() -> int:
    """Serve until stopped; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m delivery.service", description=serve.__doc__)
    serve.arguments(parser)
    try:
        serve.main(parser.parse_args())
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
