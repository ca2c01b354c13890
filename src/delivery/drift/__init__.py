"""Judge whether a new model would be better: what moved, what it costs, what is decided, and the pull request that follows."""
