"""The jobs that are no assets' own."""
