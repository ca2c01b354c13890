"""The kinds of place a version can run: a rehearsal, slots on a host, a Kubernetes cluster."""
