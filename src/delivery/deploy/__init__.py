"""A version to an environment and back again: where it runs, how it is tried there, what is remembered of it."""
