"""Preprocessing: the steps from a page image to the image that the engine gets. Each step is a function."""
