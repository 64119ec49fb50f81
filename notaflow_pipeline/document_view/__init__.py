"""One document's scan and text side by side, as a private page for a person who checks what was read."""
