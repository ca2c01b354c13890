"""One outside program or service each: git, GitHub, DVC, CML, the store branch, provenance."""
