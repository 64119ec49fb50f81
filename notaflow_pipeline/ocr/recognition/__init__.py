"""Reading the text off one page."""
