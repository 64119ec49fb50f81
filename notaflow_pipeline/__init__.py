"""Turns every scanned land-registry document waiting in `extraction_queue` into text, visibly and without losing one."""

__version__ = "0.1.0"
