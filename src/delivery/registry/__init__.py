"""Versions of the model, their tags, aliases, cards and history; the one room that knows MLflow."""
