"""Input: the format of a file, its pages, and each page as an image or as the text layer of a PDF."""
