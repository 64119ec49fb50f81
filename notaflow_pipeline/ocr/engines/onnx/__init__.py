"""Tesseract's network on ONNX Runtime, with the weights of Tesseract's own models.

`traineddata` reads a model's file, `network` its layers, `conversion` writes them as an ONNX model, `session` runs it.
"""
