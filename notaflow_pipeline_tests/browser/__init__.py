"""Tests that use Dagster's pages as a person does, in a browser."""
