"""Passes that read parts of a page again."""
