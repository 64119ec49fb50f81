"""Which figures are alarming, and how somebody is told.

Knows neither Dagster nor the other rooms: figures and observations come in as values, messages go out.
"""
