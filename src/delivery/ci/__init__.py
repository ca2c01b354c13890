"""Verbs that only workflows call."""
