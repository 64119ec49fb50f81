"""Text layers of PDFs: characters, visible words, their order, and how far they are trusted."""
