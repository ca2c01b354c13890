"""A running service, seen from outside."""
