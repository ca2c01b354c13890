"""Score rows in bulk with a registered model."""
