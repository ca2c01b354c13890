"""The stages of dvc.yaml, from validated tables to an evaluated model."""
