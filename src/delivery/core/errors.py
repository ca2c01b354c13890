"""Errors for people to read, with the facts that code may act on."""


class Failure(Exception):
    """An error that a person can act on: one line that names the cause and the fix."""


class ProgramError(Failure):
    """A program that exited with an error."""

    def __init__(self, message: str, *, program: str, code: int) -> None:
        super().__init__(message)
        self.program = program
        self.code = code
        """Exit code; the negative number of a signal if that ended the program."""


class GitHubError(Failure):
    """A request that GitHub refused."""

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, such as 403."""
        self.reason = reason
        """GitHub's own message."""


class RegistryError(Failure):
    """A registry that does not answer, or that refuses to."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused
        """Whether it wants a token, or another one than it was given."""
