"""Tests of daily tables and reports: real database, real browser."""
