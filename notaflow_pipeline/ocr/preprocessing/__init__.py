"""Page image to engine-ready image; each step is a function."""
