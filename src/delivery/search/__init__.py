"""Search for settings: draw and try them, judge the best, and propose it in a pull request."""
