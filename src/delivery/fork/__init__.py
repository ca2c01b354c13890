"""Life of a fork: replace the sample problem, upgrade, and check the set-up."""
