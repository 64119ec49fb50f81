"""What a document's bytes hold: its format, its pages, and each page as an image or as the text layer of a PDF."""
