"""What everything else may use: errors, files, parameters and the paths of the project's folder."""
