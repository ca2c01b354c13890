"""Would a new model be better? What moved, what it costs, what is decided, and the pull request that follows."""
