"""The lines of a page: found by Tesseract's layout analysis, cut out and scaled for the network."""
