"""The one exception that a person is meant to read."""


class Failure(Exception):
    """A refusal that a person can act on: one line that names the cause and the fix."""
