"""Foundations for all other rooms: errors, files, parameters, programs, and the paths of the project's folder."""
