"""Bytes in, text out. Knows neither Dagster nor the database nor the settings.

`workers.document_pool.DocumentPool` is the entry point.
"""
