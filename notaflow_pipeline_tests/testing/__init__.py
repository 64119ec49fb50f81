"""Helpers for all tests: waiting for conditions, ports, processes that may have ended, and seeded noise."""
