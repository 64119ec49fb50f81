"""Jobs: what a run does."""
