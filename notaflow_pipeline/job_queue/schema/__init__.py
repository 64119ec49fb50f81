"""The schema of the queue: migrations, checks of a database against it, roles and privileges."""
