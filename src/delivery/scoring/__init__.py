"""Rows scored in bulk with a registered model."""
