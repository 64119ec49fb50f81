"""Sensors: what starts runs, watches them and sends alerts."""
