"""Passes of the engine over a page: the first one, and those that read parts of it again."""
