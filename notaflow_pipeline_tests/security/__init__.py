"""Security tests and their report: `make security`."""
