"""Evaluates figures against thresholds, and sends messages about conditions that fail.

Independent of Dagster and of the queue: figures and observations are passed in as values.
"""
