"""What one machine needs to start: Dagster's processes, an embedded PostgreSQL, documents, and a self-check."""
