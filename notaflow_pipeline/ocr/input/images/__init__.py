"""Image files, and the pixels of an image: grey conversion, grey levels, ruling lines and coloured stamps."""
