"""The schedules."""
