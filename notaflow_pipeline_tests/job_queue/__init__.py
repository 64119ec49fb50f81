"""The queue: what its rows mean, shown on a real PostgreSQL."""
