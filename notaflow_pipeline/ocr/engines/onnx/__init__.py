"""Tesseract's network on ONNX Runtime, with the weights of Tesseract's own models.

`model` reads and runs a model, `lines` makes its input from a page, `decoding` makes words from its output.
"""
