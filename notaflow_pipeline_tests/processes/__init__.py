"""Tests that start and kill real processes."""

from psycopg import Connection

from notaflow_pipeline.job_queue.invariants import find_violations


def violated_invariants(connection: Connection) -> list[str]:
    """Name what breaks the promises of the contract's section 5 at this moment."""
    return [f"{one.rule}: {one.what}" for one in find_violations(connection, sources=["index"])]
