"""Pages of PDFs: their objects, scans, drawings, attached files and damage."""
