"""The service: a model behind HTTP, with everything that a container needs and nothing of the pipeline."""
