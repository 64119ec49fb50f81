"""The schema of the queue: migrations, what a database lacks of it, roles and privileges."""
