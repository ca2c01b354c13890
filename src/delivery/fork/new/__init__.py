"""A problem from a file of rows: what its columns are, how it is split and judged, and the files that say so."""
