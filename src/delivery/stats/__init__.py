"""Statistics on arrays: the task, resampling, distribution shift, predictions and their comparison."""
