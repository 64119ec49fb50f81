"""Attempts in, daily tables and charts out."""
