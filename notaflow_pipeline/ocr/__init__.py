"""Bytes on disk in, text out. Knows neither Dagster nor the database nor the settings.

`reading.Reader` is the way in; the other modules are what it is made of.
"""
