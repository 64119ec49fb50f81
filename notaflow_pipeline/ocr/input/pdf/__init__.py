"""Pages of PDFs: their objects, scans, renderings, attached files and damage."""
