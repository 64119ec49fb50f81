"""Pages of PDFs: their objects, their scans, what is drawn, and what is damaged."""
