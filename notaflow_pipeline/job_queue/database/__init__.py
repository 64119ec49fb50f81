"""Database access: connections, sessions, transient errors, and changes of rows in chunks."""
