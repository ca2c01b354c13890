"""Whether a model is better and good enough: baseline, comparison, gate and report."""
