"""Tests of the daily tables, on a real database."""
