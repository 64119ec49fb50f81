"""Recognition of one page: measurement, choice of passes, coverage, and the join with a text layer."""
