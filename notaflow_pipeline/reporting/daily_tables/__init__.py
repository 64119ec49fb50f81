"""Daily tables: counted from attempts, stored, and compared with a second count."""
