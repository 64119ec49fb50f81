"""Passes of the engine over a page; `parts` holds those that read parts of it again."""
