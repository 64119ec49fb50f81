"""Computes daily tables from attempts, and renders reports with charts."""
