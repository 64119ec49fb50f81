"""Connections to the database: how they are made, which errors are transient, and rows changed in chunks."""
