"""A fork's life: a problem of its own, upgrades, and whether it is set up."""
