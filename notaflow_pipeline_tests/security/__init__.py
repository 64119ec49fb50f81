"""Attacks and what became of them: `make security`."""
