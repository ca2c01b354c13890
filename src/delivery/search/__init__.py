"""Model search: what is tried, how it did, whether it is better, and the pull request."""
