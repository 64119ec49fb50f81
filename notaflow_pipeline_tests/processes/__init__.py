"""Tests that start and kill real processes."""

from psycopg import Connection

from notaflow_pipeline.job_queue.invariants import find_violations


def violated_invariants(connection: Connection) -> list[str]:
    """Return the rule and the row of each violation of the product's invariants."""
    return [f"{one.rule}: {one.what}" for one in find_violations(connection, sources=["index"])]
