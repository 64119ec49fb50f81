"""Dagster's side of the pipeline, by its own nouns."""
