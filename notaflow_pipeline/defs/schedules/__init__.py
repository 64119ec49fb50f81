"""Schedules: what runs every night, every hour and every quarter of an hour."""
