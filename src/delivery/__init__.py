"""Continuous delivery for a machine-learning model: the machinery that every problem shares."""
