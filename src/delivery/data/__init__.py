"""Rows, from the source to the stages."""
